/** What a proxy is told: `envoy.service.auth.v3.CheckResponse`. Field numbers are those of envoy/service/auth/v3/external_auth.proto. */
import { field, numberField } from '../../kernel/grpc/protobuf.ts'
import { GRPC } from '../../kernel/grpc/call.ts'

type Headers = Readonly<Record<string, string>>

/** Headers that go no further, as they stand in an answer. */
export function without(names: readonly string[]): Buffer {
  return Buffer.concat(names.map((name) => field(5, name)))
}

/** The request goes on: with headers of ours, over whatever the client had sent by those names, and without others. */
export function goOn(set: Headers, removed: readonly Buffer[]): Buffer {
  return Buffer.concat([FINE, field(3, Buffer.concat([...headerFields(set), ...removed]))])
}

/** The request ends here, with this answer. */
export function turnAway(code: 401 | 403, headers: Headers, body: string): Buffer {
  const denied = [field(1, numberField(1, code)), ...headerFields(headers), field(3, body)]
  const why = code === 401 ? GRPC.unauthenticated : GRPC.permissionDenied
  return Buffer.concat([field(1, status(why)), field(2, Buffer.concat(denied))])
}

/** google.rpc.Status; zero is what is not written. */
function status(code: number): Buffer {
  return code === GRPC.ok ? Buffer.alloc(0) : numberField(1, code)
}

const FINE = field(1, status(GRPC.ok))

/** `HeaderValueOption.append_action`: over one of that name, or new. */
const OVERWRITE_IF_EXISTS_OR_ADD = 2
const OVER_OTHERS = numberField(3, OVERWRITE_IF_EXISTS_OR_ADD)

function headerFields(headers: Headers): Buffer[] {
  return Object.entries(headers).map(([name, value]) =>
    field(2, Buffer.concat([field(1, Buffer.concat([field(1, name), field(2, value)])), OVER_OTHERS])),
  )
}
