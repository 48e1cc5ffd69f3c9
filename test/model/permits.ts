import { ScopeSet } from '../../src/identity/scope.ts'
import type { Principal } from '../../src/identity/principal.ts'
import { issuePermit } from '../../src/pipeline/permit.ts'
import type { Permit } from '../../src/pipeline/permit.ts'
import type { ClientInfo } from '../../src/request/request.ts'
import { parseTarget } from '../../src/request/target.ts'
import type { Ending } from './commands.ts'
import type { Plan } from './plans.ts'

export const CLIENT: ClientInfo = {
  address: '192.0.2.1',
  peer: '192.0.2.1',
  scheme: 'http',
  host: 'romm.test',
  forwardedFor: '192.0.2.1',
}

const SOMEBODY: Principal = {
  mode: 'session',
  owner: undefined,
  grant: { kind: 'known', scopes: ScopeSet.none },
  expiresAt: undefined,
  tokenId: undefined,
  deviceId: undefined,
}

/** For a request that was let in, as far as whoever watches it looks. */
export function permitFor({ request, session, anonymous }: Plan): Permit {
  const [method = '', path = ''] = request.split(' ')
  const parsed = parseTarget(path, method, CLIENT.host)
  if (!parsed.ok) throw new Error(parsed.fault)
  return issuePermit({
    requestId: 'r',
    method,
    target: parsed.target,
    headers: [],
    rule: {
      template: path,
      methods: '*',
      requirement: { kind: 'public' },
      origin: 'document',
      conceal: false,
      socket: false,
      input: [],
      backendChecksScopes: false,
      hint: undefined,
    },
    principal: anonymous === true ? undefined : SOMEBODY,
    credential: session,
    client: CLIENT,
    upgrade: false,
  })
}

/** What comes back, as whoever watches is told it. */
export const STATUS: Readonly<Record<Ending, number | 'lost'>> = {
  done: 200,
  failed: 500,
  lost: 'lost',
  early: 'lost',
  refused: 403,
}
