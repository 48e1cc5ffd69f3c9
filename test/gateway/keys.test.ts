import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { generateKey } from '../../src/assertion/keys.ts'
import { freshGateway, type TestGateway } from '../support/gateway.ts'
import { ask, freshStandin } from '../support/romm/ask.ts'
import { freshRedis } from '../support/services.ts'
import { eventually } from './support.ts'

async function keyFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-keys-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await generateKey(folder, 'EdDSA', Date.now())
  return folder
}

async function readiness({ probesPort }: TestGateway): Promise<string> {
  const { status, text } = await ask(probesPort, '/readyz')
  const { troubles } = JSON.parse(text) as { troubles: readonly string[] }
  return `${status} ${troubles.join('; ')}`
}

t.test(
  'replicas that sign with keys the others do not publish are not ready, until one of them leaves',
  async (t) => {
    const standin = await freshStandin(t)
    const redis = await freshRedis(t)
    const [ours, theirs] = [await keyFolder(t), await keyFolder(t)]
    const replica = (folder: string): Promise<TestGateway> =>
      freshGateway(t, {
        'upstream.url': standin.url,
        'redis.url': redis.url,
        'cache.secret': 'of these replicas',
        'keys.folder': folder,
      })
    const [one, other] = [await replica(ours), await replica(ours)]
    const areReady = async (): Promise<boolean> =>
      (await readiness(one)).startsWith('200') && (await readiness(other)).startsWith('200')
    await eventually(async () => {
      const { text } = await ask(one.probesPort, '/metrics')
      return /^postern_replicas 1$/m.test(text) && areReady()
    })
    const stranger = await replica(theirs)
    for (const each of [one, other, stranger])
      await eventually(async () => /^503 keys: .* signs with other keys/.test(await readiness(each)))
    await stranger.gateway.close()
    await eventually(areReady)
    t.pass('it took leave')
  },
)
