import { readFile } from 'node:fs/promises'
import { SignJWT, UnsecuredJWT, generateKeyPair } from 'jose'
import t from 'tap'
import { systemClock } from '../../src/identity/clock.ts'
import { asserterOf, newFolder, openRing, principalOf, requestFor, serveJwks } from './setup.ts'

const DOCS = new URL('../../docs/', import.meta.url)
const EXAMPLES = ['verify.mjs', 'verify.py', 'verify.go']

interface Example {
  readonly createVerifier: (
    expected: Readonly<Record<'jwks' | 'issuer' | 'audience', string>>,
  ) => (assertion: string) => Promise<unknown>
}

for (const name of EXAMPLES) {
  t.test(`docs/assertion.md shows ${name} as it is`, async (t) => {
    const page = await readFile(new URL('assertion.md', DOCS), 'utf8')
    const example = await readFile(new URL(`examples/${name}`, DOCS), 'utf8')
    const shown = page.split(`<!-- begin ${name} -->`)[1]?.split(`<!-- end ${name} -->`)[0]
    t.equal(
      shown
        ?.trim()
        .replace(/^```\w+\n/, '')
        .replace(/```$/, ''),
      example,
    )
  })
}

t.test('the Node example takes what Postern signs, and nothing else', async (t) => {
  const ring = await openRing({ folder: newFolder(t), clock: systemClock })
  const { href } = await serveJwks(t, ring)
  // It is plain JavaScript, as a backend would have it.
  const { createVerifier } = (await import(new URL('examples/verify.mjs', DOCS).href)) as Example
  const verify = createVerifier({ jwks: href, issuer: 'https://postern.example', audience: 'romm' })
  const assertion = await asserterOf({ ring, clock: systemClock }).assert(principalOf(), requestFor())
  t.same(await verify(assertion ?? ''), {
    subject: '7',
    username: 'ada',
    role: 'editor',
    scopes: ['roms.read', 'me.read'],
  })

  const deferred = principalOf({ grant: { kind: 'deferred' } })
  const unscoped = await asserterOf({ ring, clock: systemClock }).assert(deferred, requestFor())
  t.match(await verify(unscoped ?? ''), { subject: '7', scopes: undefined })

  const { privateKey, publicJwk } = ring.signing()
  const now = Math.floor(systemClock.now() / 1000)
  const claims = { iss: 'https://postern.example', aud: 'romm', sub: '7', iat: now, exp: now + 60 }
  const header = { alg: 'EdDSA', kid: ring.signingKid(), typ: 'postern+jwt' }
  const forged = (
    changes: object,
    headerChanges: object = {},
    key: Parameters<SignJWT['sign']>[0] = privateKey,
  ) => new SignJWT({ ...claims, ...changes }).setProtectedHeader({ ...header, ...headerChanges }).sign(key)
  await t.resolves(verify(await forged({})), 'what follows differs from this in one thing each')
  const bad = {
    issuer: await forged({ iss: 'https://other.example' }),
    audience: await forged({ aud: 'other' }),
    expired: await forged({ exp: now - 60 }),
    'without exp': await forged({ exp: undefined }),
    'without sub': await forged({ sub: undefined }),
    typ: await forged({}, { typ: 'JWT' }),
    'without typ': await forged({}, { typ: undefined }),
    kid: await forged({}, { kid: 'other' }),
    'without kid': await forged({}, { kid: undefined }),
    'another key': await forged({}, {}, (await generateKeyPair('EdDSA')).privateKey),
    'another algorithm': await forged({}, { alg: 'ES256' }, (await generateKeyPair('ES256')).privateKey),
    'the public key as secret': await forged({}, { alg: 'HS256' }, Buffer.from(JSON.stringify(publicJwk))),
    unsigned: new UnsecuredJWT(claims).encode(),
    empty: '',
  }
  for (const [what, token] of Object.entries(bad)) await t.rejects(verify(token), what)
})
