import { isDeepStrictEqual } from 'node:util'
import { DIALECTS } from '../edge/decision/dialect.ts'
import { readRules } from '../routes/rules.ts'
import type { Problem, Warning } from './problem.ts'
import type { Config } from './schema.ts'
import type { ListenAddress } from './values.ts'

const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/
const ANY_ADDRESS = /^(?:0\.0\.0\.0|::)$/

/** What is wrong between settings that are each good by themselves. */
export function contradictions(config: Config): readonly Problem[] {
  return [
    ...ruleProblems(config.rules),
    ...listenProblems(config),
    ...adminProblems(config),
    ...decisionProblems(config),
    ...corsProblems(config),
    ...redisProblems('redis', config.redis),
    ...redisProblems('romm.redis', config.romm.redis),
    ...databaseProblems(config),
    ...translateProblems(config),
    ...observeProblems(config),
  ]
}

/** What works and deserves a word at every start. Danger is found by its name, so that none is forgotten. */
export function remarks(config: Config): readonly Warning[] {
  return [
    ...dangers(config, ''),
    ...observed(config),
    ...(config.profile === 'standalone' ? oneProcess(config) : sharing(config)),
  ]
}

function observed({ enforcement }: Config): readonly Warning[] {
  const message = 'nothing is refused: what would be is logged as would_deny, and forwarded'
  return enforcement === 'enforce'
    ? []
    : [{ path: 'enforcement', message, hint: 'enforce, when you have seen enough' }]
}

/** The standalone profile keeps people and tokens in a file, and tells no other process of a change. */
function oneProcess({ redis, replicas }: Config): readonly Warning[] {
  const message = 'is of no use: the profile standalone is for one process alone'
  const surplus = [...(redis ? ['redis'] : []), ...(replicas > 1 ? ['replicas'] : [])]
  return surplus.map((path) => ({ path, message }))
}

function sharing({ redis, replicas, cache }: Config): readonly Warning[] {
  const warnings: Warning[] = []
  if (replicas > 1 && !redis) {
    const message = 'replicas without a shared Redis learn of revocations only when they next ask the source'
    warnings.push({ path: 'redis', message, hint: 'give the Redis that the replicas share' })
  }
  if (redis && cache.secret === undefined) {
    const message = 'lookups are not kept in Redis, since nothing signs them'
    warnings.push({ path: 'cache.secret', message, hint: 'give every replica the same secret' })
  }
  return warnings
}

function ruleProblems(rules: Config['rules']): readonly Problem[] {
  const reading = readRules(rules)
  return reading.ok ? [] : reading.problems
}

function listenProblems({ listen, decision }: Config): readonly Problem[] {
  const all = [
    ['listen.edge', listen.edge],
    ['listen.probes', listen.probes],
    ['listen.admin', listen.admin],
    ['decision.listen', decision.listen],
  ] as const
  return all.flatMap(([path, address], i) =>
    all
      .slice(0, i)
      .filter(([first, other]) => collide(other, address) && !mayShare(first, path, other, address))
      .map(([first]) => ({ path, message: `is the address of ${first} too`, hint: 'choose another port' })),
  )
}

/** Probes and admin, to the letter: of two ways to write it, each would need a listener of its own. */
function mayShare(
  first: string,
  second: string,
  one: ListenAddress | 'off',
  other: ListenAddress | 'off',
): boolean {
  return first === 'listen.probes' && second === 'listen.admin' && isDeepStrictEqual(one, other)
}

function adminProblems({ listen: { admin, dangerouslyExposeAdmin } }: Config): readonly Problem[] {
  if (admin === 'off' || admin.kind === 'unix' || dangerouslyExposeAdmin || LOOPBACK.test(admin.host))
    return []
  const message = 'must be on loopback, or a Unix socket: whoever reaches it is believed'
  const hint = '127.0.0.1:8092, or unix:/run/postern/admin.sock'
  return [{ path: 'listen.admin', message, hint }]
}

/** Nobody may ask by default, and what others send on cannot be rewritten here. */
function decisionProblems({ decision, upstream }: Config): readonly Problem[] {
  const { listen, callers, dialect } = decision
  if (listen === 'off') return []
  const problems: Problem[] = []
  if (listen.kind === 'unix') {
    const message = 'must be host:port: who asks is known by an address, and a Unix socket has none'
    problems.push({ path: 'decision.listen', message, hint: 'listen: 0.0.0.0:8093' })
  }
  if (callers.length === 0) {
    const hint = "name your proxy, for instance: callers: ['127.0.0.1']"
    problems.push({ path: 'decision.callers', message: 'must name who may ask', hint })
  }
  if (dialect === undefined) {
    const hint = `one of ${DIALECTS.join(', ')}, for instance: dialect: caddy`
    problems.push({ path: 'decision.dialect', message: 'must say which proxy asks', hint })
  }
  if (upstream.credentials !== 'pass') {
    const message = `cannot be ${upstream.credentials} with the decision API: the proxy sends the credential on`
    problems.push({ path: 'upstream.credentials', message, hint: 'credentials: pass' })
  }
  return problems
}

function collide(a: ListenAddress | 'off', b: ListenAddress | 'off'): boolean {
  if (a === 'off' || b === 'off') return false
  if (a.kind === 'unix' || b.kind === 'unix')
    return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path
  // Port 0 is whatever is free.
  if (a.port === 0 || a.port !== b.port) return false
  return a.host === b.host || ANY_ADDRESS.test(a.host) || ANY_ADDRESS.test(b.host)
}

function corsProblems({ cors }: Config): readonly Problem[] {
  if (cors.mode !== 'own') {
    const message = `has no effect while cors.mode is ${cors.mode}`
    return cors.origins.length > 0 ? [{ path: 'cors.origins', message, hint: 'set cors.mode to own' }] : []
  }
  if (cors.origins.length === 0)
    return [{ path: 'cors.origins', message: 'must name an origin while cors.mode is own' }]
  // Fetch Standard §3.2.5: "*" and credentials exclude each other; reflecting any origin would be worse.
  return cors.credentials && cors.origins.includes('*')
    ? [{ path: 'cors.credentials', message: 'cannot be on for every origin', hint: 'name the origins' }]
    : []
}

function redisProblems(path: string, redis: Config['redis'] | undefined): readonly Problem[] {
  if (!redis) return []
  const ways = (['url', 'host', 'sentinels'] as const).filter((name) => redis[name] !== undefined)
  if (ways.length === 0)
    return [{ path: `${path}.host`, message: 'must be given with the rest of the section' }]
  if (ways.length > 1)
    return [{ path, message: `is given in several ways: ${ways.join(', ')}`, hint: 'keep one' }]
  if ((redis.sentinels === undefined) !== (redis.sentinelName === undefined)) {
    const missing = redis.sentinels ? 'sentinelName' : 'sentinels'
    return [{ path: `${path}.${missing}`, message: 'must be given: sentinels and sentinelName go together' }]
  }
  return []
}

function databaseProblems({ romm: { database } }: Config): readonly Problem[] {
  if (!database) return []
  return (['host', 'user'] as const)
    .filter((name) => database[name] === undefined)
    .map((name) => ({
      path: `romm.database.${name}`,
      message: 'must be given with the rest of the section',
      hint: name === 'host' ? 'where is the database?' : 'a user that may only read is enough',
    }))
}

function translateProblems({ upstream, profile, romm }: Config): readonly Problem[] {
  if (upstream.credentials !== 'translate' || (profile === 'romm' && romm.secret !== undefined)) return []
  const message = "translate needs RomM's profile and its secret"
  return [{ path: 'upstream.credentials', message, hint: 'give romm.secret, or choose pass or strip' }]
}

/** Where the backend lets everybody in, nothing but our refusals keeps anybody out. */
function observeProblems({ enforcement, profile, upstream }: Config): readonly Problem[] {
  const lets =
    profile === 'standalone'
      ? 'a backend of the profile standalone authenticates nobody'
      : upstream.credentials === 'strip' && 'upstream.credentials is strip, so the backend sees no credential'
  if (enforcement !== 'observe' || lets === false) return []
  const message = `cannot be observe: ${lets}, and everybody would get in`
  return [{ path: 'enforcement', message, hint: 'if that is meant: dangerouslyObserveOnly' }]
}

function dangers(value: unknown, path: string): Warning[] {
  if (typeof value === 'string' && value.startsWith('dangerously')) return [danger(path, value)]
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]: [string, unknown]) => {
    const inner = Array.isArray(value) ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`
    return name.startsWith('dangerously') && member === true ? [danger(inner, name)] : dangers(member, inner)
  })
}

function danger(path: string, name: string): Warning {
  return { path, message: `${name} is on` }
}
