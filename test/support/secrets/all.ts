import { aiSamples } from './ai.ts'
import { chatSamples } from './chat.ts'
import { cloudSamples } from './cloud.ts'
import { databasesSamples } from './databases.ts'
import { forgeSamples } from './forge.ts'
import { keysSamples } from './keys.ts'
import { paymentSamples } from './payment.ts'
import { registrySamples } from './registry.ts'
import { saasSamples } from './saas.ts'
import type { Samples } from './samples.ts'
import { storesSamples } from './stores.ts'

/** A sample for each rule, by its id. */
export const samples: Samples = {
  ...aiSamples,
  ...chatSamples,
  ...cloudSamples,
  ...databasesSamples,
  ...forgeSamples,
  ...keysSamples,
  ...paymentSamples,
  ...registrySamples,
  ...saasSamples,
  ...storesSamples,
}
