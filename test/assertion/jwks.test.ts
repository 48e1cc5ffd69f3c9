import t from 'tap'
import { ALGORITHMS } from '../../src/assertion/algorithm.ts'
import { createJwks } from '../../src/assertion/jwks.ts'
import { bench, serveJwks } from './setup.ts'

const MEMBERS = {
  EdDSA: ['alg', 'crv', 'kid', 'kty', 'use', 'x'],
  ES256: ['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'],
  RS256: ['alg', 'e', 'kid', 'kty', 'n', 'use'],
}

for (const algorithm of ALGORITHMS) {
  t.test(`the JWKS shows the public half of an ${algorithm} key and no more`, async (t) => {
    const { ring } = await bench(t, { algorithm })
    const response = await fetch(await serveJwks(t, ring))
    const { keys } = (await response.json()) as { keys: Record<string, string>[] }
    t.equal(response.headers.get('content-type'), 'application/jwk-set+json')
    t.equal(keys.length, 1)
    t.same(Object.keys(keys[0] ?? {}).sort(), MEMBERS[algorithm])
    t.match(keys[0], { use: 'sig', alg: algorithm, kid: ring.signingKid() })
  })
}

t.test('a cached copy is stale before a new key is used', async (t) => {
  const { ring } = await bench(t)
  t.equal(createJwks(ring, 600_000)().cacheControl, 'public, max-age=300')
  t.equal(createJwks(ring, 1_000)().cacheControl, 'public, max-age=0')
})
