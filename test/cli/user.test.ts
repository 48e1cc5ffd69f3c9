import { writeFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { createReadSecret } from '../../src/cli/secret.ts'
import { runToken } from '../../src/cli/token.ts'
import { runUser } from '../../src/cli/user.ts'
import { virtualClock } from '../support/clock.ts'
import type { VirtualClock } from '../support/clock.ts'
import { newFile } from '../support/standalone.ts'

const DAY = 86_400_000

interface Terminal {
  readonly clock: VirtualClock
  /** Runs `postern user …` or `postern token …`; returns what it printed on the standard output. */
  readonly run: (line: string) => Promise<string[]>
  readonly prompts: string[]
  readonly said: string[]
}

function terminal(t: Test, typed = 'correct horse'): Terminal {
  const clock = virtualClock()
  const env = {
    POSTERN_PROFILE: 'standalone',
    POSTERN_UPSTREAM_URL: 'http://127.0.0.1:1',
    POSTERN_STANDALONE_DATABASE: newFile(t),
  }
  const prompts: string[] = []
  const said: string[] = []
  return {
    clock,
    prompts,
    said,
    async run(command) {
      const printed: string[] = []
      const context = {
        out: (line: string) => printed.push(line),
        err: (line: string) => said.push(line),
        readSecret: async (prompt: string) => {
          prompts.push(prompt)
          return typed
        },
        endWith: () => undefined,
        ask: async () => undefined,
        now: () => clock.now(),
        env,
        signals: {
          stopped: new Promise<void>(() => undefined),
          onReload: () => undefined,
          onRestart: () => undefined,
          leaveToOthers: () => undefined,
          onCrash: () => undefined,
          onExit: () => undefined,
        },
      }
      const [family, ...args] = command.split(' ')
      await (family === 'user' ? runUser : runToken)(args, context)
      return printed
    },
  }
}

t.test('users are added, listed, disabled, enabled and removed', async (t) => {
  const { run, prompts, said } = terminal(t)
  await run('user add alice --role editor --scopes notes.read,notes.write')
  await run('user add bob')
  t.same(prompts, ['Password for alice: ', 'Password for bob: '])
  await run('user disable bob')
  t.same(await run('user list'), [
    'ID  NAME   STATE     ROLE    CREATED                   SCOPES',
    '1   alice  enabled   editor  2026-01-01T00:00:00.000Z  notes.read notes.write',
    '2   bob    disabled  -       2026-01-01T00:00:00.000Z',
  ])
  await run('user enable bob')
  await run('user passwd bob')
  await run('user remove alice')
  const [json = ''] = await run('user list --json')
  t.match(JSON.parse(json), [{ id: '2', username: 'bob', enabled: true, scopes: [] }])
  t.equal(said.length, 6)
})

t.test('a token is shown once, and listed with its end', async (t) => {
  const { run, clock, said } = terminal(t)
  await run('user add alice --scopes a,b')
  const [token = '', ...more] = await run('token create --user alice --name phone --scopes b --expires 90d')
  t.match(token, /^pst_[0-9a-f]{64}$/)
  t.same(more, [], 'nothing else is on the standard output')
  t.match(said.at(-1), /Token 1 of alice \(expires: 2026-04-01T00:00:00.000Z\)/)
  const [json = ''] = await run('token create --user alice --name feed --json')
  t.match(JSON.parse(json), { id: '2', token: /^pst_/ })
  t.same(await run('token list'), [
    'ID  USER   NAME   EXPIRES                   SCOPES',
    '1   alice  phone  2026-04-01T00:00:00.000Z  b',
    '2   alice  feed   never                     a b',
  ])
  clock.jump(90 * DAY)
  t.match((await run('token list --user alice'))[1], / expired +b$/)
  await run('token revoke 1')
  const [left = ''] = await run('token list --json')
  t.match(JSON.parse(left), [{ id: '2' }])
  t.notOk(left.includes(token))
})

t.test('a password comes from a file, less its last line end', async (t) => {
  const { run, prompts } = terminal(t)
  const file = join(t.testdirName, 'secret')
  writeFileSync(file, 'from a file \r\n')
  writeFileSync(`${file}.short`, 'short\n')
  await t.rejects(run(`user add alice --password-file ${file}.gone`), {
    code: 'usage',
    message: /cannot be read/,
  })
  await t.rejects(run(`user add alice --password-file ${file}.short`), { message: /at least 8/ })
  await run(`user add alice --password-file ${file}`)
  t.same(prompts, [])
})

t.test('what is typed wrong is named', async (t) => {
  const { run } = terminal(t)
  const wrong = [
    ['user', /postern user is followed by one of: add, list/],
    ['user constructor', /followed by one of/],
    ['token', /followed by one of: create, list, revoke/],
    ['user add', /NAME is missing/],
    ['user add alice bob', /'bob' is not expected/],
    ['user add alice --password secret', /--password'/],
    ['user add alice --role', /role/],
    ['token create --user alice', /--user and --name/],
    ['token create --user alice --name x --expires 90', /--expires is a duration/],
    ['token revoke', /ID is missing/],
    ['token list --user alice', /no user 'alice'/],
    ['user list --set profile=romm', /people and tokens are the backend's own/],
  ] as const
  for (const [line, message] of wrong) await t.rejects(run(line), { code: 'usage', message }, line)
})

t.test('a secret is the first line of the standard input, or nothing', async (t) => {
  const screen = new PassThrough()
  const input = new PassThrough()
  const reading = createReadSecret(input, screen)('Password: ')
  input.end('first line\nsecond')
  t.equal(await reading, 'first line')
  const empty = new PassThrough()
  const failing = createReadSecret(empty, screen)('Password: ')
  empty.end()
  await t.rejects(failing, { code: 'usage', message: /No secret was given/ })
  screen.end()
  t.equal(await text(screen), '', 'nobody is asked who is not there')
})

t.test('what is typed on a terminal is not shown', async (t) => {
  const keyboard = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => undefined })
  const screen = new PassThrough()
  const reading = createReadSecret(keyboard, screen)('Password: ')
  keyboard.write('hunter22x\x7f\r')
  t.equal(await reading, 'hunter22', 'and can be corrected')
  screen.end()
  t.equal(await text(screen), 'Password: \n')
})
