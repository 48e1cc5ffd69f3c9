/**
 * Presents bad credentials of one kind, each from an address of its own, as fast as they are answered, and prints the
 * answers by status: `node bench/flooding.ts URL basic|token|jwt milliseconds`.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { Pool } from 'undici'
import { signJwt } from '../test/support/romm/jwt.ts'

const CONNECTIONS = 64
/** RomM's own form, and far from its expiry. */
const CLAIMS = { sub: 'admin', iss: 'romm:oauth', type: 'access', scopes: 'roms.read', exp: 4_102_444_800 }

const KINDS: Readonly<Record<string, () => string>> = {
  basic: () => `Basic ${Buffer.from(`admin:${randomBytes(8).toString('hex')}`).toString('base64')}`,
  token: () => `Bearer rmm_${randomBytes(32).toString('hex')}`,
  jwt: () => `Bearer ${signJwt({ ...CLAIMS, jti: randomBytes(8).toString('hex') }, 'not the secret')}`,
}

const [url = '', kind = '', milliseconds = '0'] = process.argv.slice(2)
const credential = KINDS[kind]
if (credential === undefined) throw new Error(`there is no kind ${kind}`)
const pool = new Pool(url, { connections: CONNECTIONS })
const until = performance.now() + Number(milliseconds)
const statuses: Record<string, number> = {}

/** Of documentation, private use and the rest: as many as there are. */
const address = (): string => [198, randomInt(256), randomInt(256), randomInt(256)].join('.')

async function one(authorization: string): Promise<void> {
  const headers = { authorization, 'x-forwarded-for': address() }
  const { statusCode, body } = await pool.request({ method: 'GET', path: '/api/roms/1', headers })
  await body.dump()
  statuses[statusCode] = (statuses[statusCode] ?? 0) + 1
}

await Promise.all(
  Array.from({ length: CONNECTIONS }, async () => {
    while (performance.now() < until) await one(credential())
  }),
)
await pool.close()
console.log(JSON.stringify(statuses))
