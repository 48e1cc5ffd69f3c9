import { decodeProtectedHeader } from 'jose'
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { as, freshStandin } from '../support/romm/ask.ts'
import { curl, freshFolder, headerOptions, postern, serve, sets, type Ended } from './processes.ts'

const KID = /\d{8}T\d{9}Z-[\w-]{16}/

/** Runs `postern keys …` on one folder. */
function keysIn(folder: string, timing: Readonly<Record<string, string>> = {}) {
  const settings = sets({ 'upstream.url': 'http://127.0.0.1:9', 'keys.folder': folder, ...timing })
  return (...args: readonly string[]): Promise<Ended> => postern(['keys', ...args, ...settings])
}

function kidIn({ out }: Ended): string {
  return KID.exec(out)?.[0] ?? ''
}

t.test('keys are made, rotated, listed and pruned', async (t) => {
  const keys = keysIn(join(await freshFolder(t), 'keys'))
  t.match(await keys('list'), { code: 0, out: /^KID +ALGORITHM +STATE +CREATED\n$/ })
  t.match(await keys('rotate'), { code: 78, err: /`postern keys generate` once/ })
  const first = await keys('generate')
  t.match(first, { code: 0, out: /^Made \S+; it signs from now on\.\n$/, err: '' })
  t.match(await keys('generate'), { code: 78, err: /has keys: `postern keys rotate` adds the next one\.\n$/ })
  const second = await keys('rotate', '--json')
  const { kid, usedFrom } = JSON.parse(second.out) as { kid: string; usedFrom: string }
  t.ok(Date.parse(usedFrom) > Date.now() + 500_000, 'ten minutes from now')
  t.match((await keys('list')).out.split('\n'), [
    String,
    new RegExp(`^${kidIn(first)} +EdDSA +signing +\\d{4}-`),
    new RegExp(`^${kid} +EdDSA +waiting +\\d{4}-`),
  ])
  t.match(JSON.parse((await keys('list', '--json')).out), [
    { kid: kidIn(first), state: 'signing' },
    { kid, state: 'waiting' },
  ])
  t.match(await keys('prune'), { code: 0, out: 'Removed nothing.\n' })
})

t.test('a key that serve did not make is published, then signs, without a restart', async (t) => {
  const standin = await freshStandin(t)
  const folder = await freshFolder(t)
  const timing = { 'keys.publishFor': '4s' }
  const keys = keysIn(join(folder, 'keys'), timing)
  const serving = await serve(t, ['--upstream', standin.url, ...sets(timing)], { folder })
  const published = async (): Promise<string[]> => {
    const { body } = await curl(`${serving.url}/.well-known/postern/jwks.json`)
    return (JSON.parse(body) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)
  }
  const signing = async (): Promise<string | undefined> => {
    await curl(...headerOptions(as('basic vera')), `${serving.url}/api/roms`)
    const assertion = standin.requests.findLast(({ target }) => target === '/api/roms')?.headers[
      'x-postern-assertion'
    ]
    return decodeProtectedHeader(String(assertion)).kid
  }
  const [old = ''] = await published()
  t.equal(await signing(), old)
  const next = kidIn(await keys('rotate'))
  const early = new Set<string | undefined>()
  while ((await published()).length === 1) early.add(await signing())
  t.notOk(early.has(next), 'not before it is published')
  t.same(await published(), [old, next])
  while ((await signing()) === old);
  t.equal(await signing(), next)
  t.same(await published(), [old, next], 'the old one until what it signed is dead')
  await unlink(join(folder, 'keys', `${next}.pem`))
  await serving.after(
    () => serving.kill('SIGHUP'),
    ({ msg }) => msg === 'listening',
  )
  t.same(await published(), [old], 'a key that is taken away is gone with SIGHUP')
  t.equal(await signing(), old)
})
