import { readFile } from 'node:fs/promises'
import t from 'tap'
import { systemClock } from '../../src/identity/clock.ts'
import { forgeries } from './forgeries.ts'
import { asserterOf, newFolder, openRing, principalOf, requestFor, serveJwks } from './setup.ts'

const DOCS = new URL('../../docs/', import.meta.url)
/** Pages, and the files of docs/examples/ that each shows. */
const SHOWN = {
  'assertion.md': ['verify.mjs', 'verify.py', 'verify.go'],
  'legacy.md': ['express.mjs', 'fastify.mjs', 'fastapi_backend.py', 'backend.go', 'nginx-backend.conf'],
}

const EXPECTED = { issuer: 'https://postern.example', audience: 'romm' }

interface Example {
  readonly createVerifier: (
    expected: Readonly<Record<'jwks' | 'issuer' | 'audience', string>>,
  ) => (assertion: string) => Promise<unknown>
}

for (const [name, files] of Object.entries(SHOWN)) {
  t.test(`docs/${name} shows its examples as they are`, async (t) => {
    const page = await readFile(new URL(name, DOCS), 'utf8')
    for (const file of files) {
      const example = await readFile(new URL(`examples/${file}`, DOCS), 'utf8')
      const shown = page.split(`<!-- begin ${file} -->\n`)[1]?.split(`<!-- end ${file} -->`)[0]
      t.equal(shown?.replace(/^```\w+\n/, '').replace(/```\n$/, ''), example, file)
    }
  })
}

t.test('the Node example takes what Postern signs, and nothing else', async (t) => {
  const ring = await openRing({ folder: newFolder(t), clock: systemClock })
  const { href } = await serveJwks(t, ring)
  // It is plain JavaScript, as a backend would have it.
  const { createVerifier } = (await import(new URL('examples/verify.mjs', DOCS).href)) as Example
  const verify = createVerifier({ jwks: href, ...EXPECTED })
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

  const { kid, privateKey, publicJwk } = ring.signing()
  const { good, bad } = await forgeries({ kid, privateKey, publicJwk }, EXPECTED)
  await t.resolves(verify(good), 'what follows differs from this in one thing each')
  for (const [what, token] of Object.entries(bad)) await t.rejects(verify(token), what)
})
