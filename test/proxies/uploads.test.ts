/** 200 MB through each proxy and in both ways: the backend has the bytes while they come, and nobody keeps them. */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { freshFolder, serve, sets } from '../cli/processes.ts'
import { eventually, isRefusal, lines, message, type RawClient } from '../gateway/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import type { Received } from '../support/romm/standin.ts'
import { REAL, type Recipe, settingsOf, sideOf, type Site, standBefore } from './site.ts'

const run = promisify(execFile)
const standin = await freshStandin(t)

const MiB = 1024 * 1024
const TOTAL = 200 * MiB
/** As much is sent before the backend must have nearly all of it. */
const STEP = 8 * MiB
/** What three connections' ends may hold of a step; far less than any file. */
const ON_ITS_WAY = MiB
/** Noise of the collectors of Go and Node; a body that is kept would be more than that. */
const MOST_GROWTH = 96 * MiB

const UPLOAD = '/api/saves?rom_id=1'
const upload = (): Received | undefined => standin.requests.find(({ target }) => target === UPLOAD)

interface Measured extends Site {
  /** Bytes in memory: the proxy's, with its workers, and the gateway's. */
  readonly resident: () => Promise<readonly [proxy: number, gateway: number]>
}

/** With a gateway in a process of its own, as it is run. */
async function measured(t: Test, recipe: Recipe): Promise<Measured> {
  const file = join(await freshFolder(t), 'postern.yaml')
  writeFileSync(file, sideOf(recipe))
  const gateway = await serve(t, ['--config', file, ...sets(settingsOf(recipe, standin))])
  const decision = Number(String(gateway.listening['decision']).split(':').at(-1))
  const site = await standBefore(t, recipe, { edge: gateway.port, decision, backend: standin.port }, standin)
  const resident: Measured['resident'] = async () => [
    await memoryOf(site.proxy.pid),
    await memoryOf(gateway.pid),
  ]
  return { ...site, resident }
}

async function memoryOf(pid: number): Promise<number> {
  const { stdout } = await run('ps', ['-o', 'rss=', '-p', String(pid), '--ppid', String(pid)])
  return stdout
    .trim()
    .split('\n')
    .reduce((sum, kilobytes) => sum + Number(kilobytes) * 1024, 0)
}

const FRAMINGS = {
  'of a known length': {
    field: `Content-Length: ${TOTAL}`,
    frame: (block: Buffer) => block,
    end: '',
  },
  'in chunks': {
    field: 'Transfer-Encoding: chunked',
    frame: (block: Buffer) =>
      Buffer.concat([Buffer.from(`${block.length.toString(16)}\r\n`), block, Buffer.from('\r\n')]),
    end: '0\r\n\r\n',
  },
}

/** Writes as much as is taken, until the connection is broken. */
async function pour({ socket }: RawClient, bytes: number, frame: (block: Buffer) => Buffer): Promise<void> {
  const block = frame(Buffer.alloc(64 * 1024, 'x'))
  for (let sent = 0; sent < bytes && socket.writable; sent += 64 * 1024)
    if (!socket.write(block)) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
}

for (const recipe of REAL) {
  t.test(recipe.name, async (t) => {
    const { client, resident } = await measured(t, recipe)

    for (const [how, { field, frame, end }] of Object.entries(FRAMINGS)) {
      t.test(`200 MB ${how} stream through`, async (t) => {
        standin.forget()
        const sender = await client(t)
        sender.send(message(UPLOAD, [field, ...lines(as('rmm admin all'))], 'POST'))
        let before: readonly number[] = []
        for (let sent = STEP; sent <= TOTAL; sent += STEP) {
          await pour(sender, STEP, frame)
          await eventually(async () => (upload()?.bytes ?? 0) >= sent - ON_ITS_WAY)
          // By then everybody has the buffers that he works with.
          if (sent === 4 * STEP) before = await resident()
        }
        const grown = (await resident()).map((now, i) => now - (before[i] ?? 0))
        const answer = await sender.send(end).answer()
        t.equal(answer.status, 200, answer.head)
        t.equal(upload()?.bytes, TOTAL)
        t.ok(Math.max(...grown) < MOST_GROWTH, `proxy and gateway grew by ${grown.join(' and ')} bytes`)
      })
    }

    t.test('200 MB of a stranger: he reads why, and the backend hears nothing of him', async (t) => {
      standin.forget()
      // Again and again, since a proxy that may lose an answer does not always lose it.
      for (let i = 0; i < 20; i++) {
        const sender = await client(t)
        sender.send(message(UPLOAD, [`Content-Length: ${TOTAL}`, ...lines(as('rmm unknown'))], 'POST'))
        const pouring = pour(sender, TOTAL, (block) => block)
        isRefusal(t, await sender.answer(), 401, 'invalid_credential')
        sender.socket.destroy()
        await pouring
      }
      t.equal(upload(), undefined)
    })
  })
}
