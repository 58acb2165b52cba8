import { LeaseBusy, LeaseFailure, NotWanted } from '../writer.ts'
import { RecordBehind, SecretRefused, type Act, type TargetLogin } from './rotator.ts'

/** What is so for each actor alike: another one would hear the same. */
const FOR_ALL = [SecretRefused, NotWanted, LeaseBusy, RecordBehind]

/**
 * By the first of those who may. Any of them failing for a reason of its own (`isItsOwn`: the target answered, and refused this one) does not keep the
 * next from trying; a server that is not there does.
 */
export async function byTheFirst<T>(
  actors: Act['actors'],
  isItsOwn: (error: LeaseFailure) => boolean,
  doing: (actor: TargetLogin) => Promise<T>,
): Promise<T> {
  let first: LeaseFailure | undefined
  for (const actor of actors) {
    try {
      return await doing(actor)
    } catch (error) {
      const isForAll = FOR_ALL.some((kind) => error instanceof kind)
      if (!(error instanceof LeaseFailure) || isForAll || !isItsOwn(error)) throw error
      first ??= error
    }
  }
  throw first ?? new LeaseFailure('nobody may change the secret of this login')
}
