/** The commands that ask a running gateway, before RomM with every step of the ladder. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { freshLadder } from '../gateway/support.ts'
import { freePort } from '../support/services/process.ts'
import { as, ask, freshStandin } from '../support/romm/ask.ts'
import { environment, freshFolder, postern, serve, sets, type Serving } from './processes.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const ladder = await freshLadder(t)
const standin = await freshStandin(t)
const SETTINGS = { ...ladder.settings, 'upstream.url': standin.url }
const serving = await serve(t, sets(SETTINGS))
const ARGOSY = { 'user-agent': 'Argosy/1.2 (Android 14)' }

const from = (name: string) => ({ headers: { ...as(name), ...ARGOSY } })

/** A command's output, one string a line. */
async function asked({ admin }: Serving, ...args: readonly string[]): Promise<string[]> {
  const { code, out, err } = await postern([...args, '--admin', admin])
  if (code !== 0) throw new Error(`${args.join(' ')}: ${code} ${err}`)
  return out.trimEnd().split('\n')
}

/** The line that begins so. */
const line = (lines: readonly string[], start: string): string =>
  lines.find((each) => each.startsWith(start)) ?? `no ${start} in\n${lines.join('\n')}`

t.test('status says how it stands', async (t) => {
  await ask(serving.port, '/api/roms', { headers: { ...as('rmm vera all'), 'x-forwarded-for': '192.0.2.1' } })
  await ask(serving.port, '/api/roms')
  const lines = await asked(serving, 'status')
  t.match(line(lines, 'version'), /^version +\d+\.\d+\.\d+, up \d+s$/)
  t.match(line(lines, 'state'), /ok$/)
  t.match(line(lines, 'enforcement'), /enforce$/)
  t.match(line(lines, 'routes'), /\d+ from upstream, read \d+[sm] ago, version 5\.2\.0, digest [0-9a-f]{12}$/)
  t.match(line(lines, 'replicas'), /this one alone/)
  t.match(line(lines, 'refused'), /no_credential 1/)
  t.match(line(lines, 'session '), /RomM's Redis and database/)
  t.match(
    lines.findLast((each) => each.startsWith('token ')),
    / there$/,
  )
  t.match(line(lines, '! 127.0.0.1'), /add: trustedProxies: \[127\.0\.0\.1\]/)
  const [json] = [
    JSON.parse((await asked(serving, 'status', '--json')).join('\n')) as Record<string, unknown>,
  ]
  t.match(json, {
    enforcement: 'enforce',
    health: { status: 'ok' },
    refusals: { deny: { no_credential: 1 } },
  })
})

t.test('who says who was here, with what and from where', async (t) => {
  const { port } = serving
  await ask(port, '/api/roms', from('rmm gus all'))
  await ask(port, '/api/roms', from('rmm gus all'))
  await ask(port, '/api/users', from('rmm gus all'))
  await ask(port, '/api/roms', from('session vera'))
  await ask(port, '/api/users', from('session edith'))
  const lines = await asked(serving, 'who')
  t.match(lines[0], /^USER +MODE +CREDENTIAL +ADDRESS +SEEN +REQUESTS +REFUSED +WOULD DENY +CLIENT +WHY$/)
  t.match(
    line(lines, 'gus'),
    /^gus +token +token \d+ +127\.0\.0\.1 +\d+s ago +3 +1 +0 +Argosy\/1\.2 \(Android 14\) +insufficient_scope 1$/,
  )
  t.match(line(lines, 'vera     session'), /session [0-9a-f]{16} +127\.0\.0\.1/)
  t.match(line(lines, '- '), /anonymous/)
  t.match(
    line(lines, 'edith'),
    /^edith +session +session [0-9a-f]{16} .* insufficient_scope 1$/,
    'one who was never let in can be told apart, and blocked, as well',
  )
  const seen = JSON.parse((await asked(serving, 'who', '--json', '--since', '1h')).join('\n')) as unknown[]
  t.equal(seen.length, lines.length - 1)
  t.same(JSON.parse((await asked(serving, 'who', '--json', '--since', '0s')).join('\n')), [], 'since now')
  t.match(await postern(['who', '--since', 'yesterday', '--admin', serving.admin]), {
    code: 64,
    err: /--since takes a duration/,
  })
})

/** A `postern tail` that runs, and its lines. */
async function tailing(
  t: Test,
  ...args: readonly string[]
): Promise<{ child: ChildProcess; next: () => Promise<string> }> {
  const child = spawn(process.execPath, [MAIN, 'tail', '--admin', serving.admin, ...args], {
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return { child, next: async () => String((await lines.next()).value) }
}

/** The next line of this form. */
async function until(next: () => Promise<string>, form: RegExp): Promise<string> {
  for (;;) {
    const text = await next()
    if (form.test(text)) return text
  }
}

t.test('tail shows decisions as they come, until it is told to stop', async (t) => {
  const all = await tailing(t, '--json')
  const denied = await tailing(t, '--denied')
  const { port } = serving
  // They are there once they show something.
  const asking = setInterval(() => void ask(port, '/api/roms?asking'), 50)
  t.match(JSON.parse(await all.next()), { decision: 'deny', reason: 'no_credential', time: /^\d{4}-/ })
  t.match(
    await denied.next(),
    /^\d\d:\d\d:\d\d\.\d{3} {2}deny no_credential {2}401 {2}anonymous {2}127\.0\.0\.1 {2}GET {2}\/api\/roms$/,
  )
  clearInterval(asking)
  await ask(port, '/api/platforms', from('rmm gus all'))
  await ask(port, '/api/users', from('rmm gus all'))
  t.match(JSON.parse(await until(all.next, /platforms/)), { decision: 'permit', user: 'gus', status: 200 })
  t.match(await until(denied.next, /insufficient/), /deny insufficient_scope {2}403 {2}gus \(token \d+\)/)
  for (const { child } of [all, denied]) {
    const ended = once(child, 'exit')
    child.kill('SIGINT')
    t.same(await ended, [0, null])
  }
})

t.test('explain says why a request was refused, by the id that its client was told', async (t) => {
  const { headers } = await ask(serving.port, '/api/users', from('rmm gus all'))
  const id = String(headers['x-request-id'])
  const lines = (await asked(serving, 'explain', id)).map((each) => each.trim())
  t.equal(lines[0], 'GET')
  t.match(line(lines, 'target'), /\/api\/users$/)
  t.match(line(lines, 'rule'), /GET \/api\/users \(document\)/)
  t.match(line(lines, 'requires'), /users\.read/)
  t.match(line(lines, 'as'), /gus \(token \d+\)/)
  t.match(line(lines, 'scopes'), /roms\.read/)
  t.match(line(lines, 'decision'), /deny 403 insufficient_scope$/)
  t.match(line(lines, 'missing'), /users\.read/)
  t.match(line(lines, 'hint'), /The token lacks users\.read/)
  const unknown = await postern(['explain', crypto.randomUUID(), '--admin', serving.admin])
  t.match(unknown, { code: 64, err: /remembers no refusal/ })
})

t.test('block refuses somebody for a while, blocks shows whom, and unblock ends it', async (t) => {
  await ask(serving.port, '/api/roms', from('rmm gus all'))
  const seen = JSON.parse((await asked(serving, 'who', '--json')).join('\n')) as readonly Readonly<
    Record<string, unknown>
  >[]
  const token = String(seen.find(({ user }) => user === 'gus')?.['token'])
  const args = [
    'block',
    'token',
    token,
    '--for',
    '2h',
    '--why',
    'lost on the train',
    '--admin',
    serving.admin,
  ]
  t.match(await postern(args), {
    out: /^Blocked token \d+ until \d{4}-.*Z\.\n$/,
    err: /^note: no redis is set, so a restart forgets it/,
  })
  const refused = await ask(serving.port, '/api/roms', from('rmm gus all'))
  t.equal(refused.status, 403)
  t.equal(refused.headers['postern-reason'], 'blocked')
  t.equal(refused.headers['www-authenticate'], undefined, 'apps would throw away what they hold')
  t.match(refused.text, /The operator has blocked this/)
  t.notMatch(refused.text, /train/)
  t.notMatch(refused.text, /gus/)
  const id = String(refused.headers['x-request-id'])
  t.match(
    line(await asked(serving, 'explain', id), '  as'),
    /gus \(token \d+\)$/,
    'but the operator is told whom',
  )
  t.match(line(await asked(serving, 'who', '--since', '1h'), 'gus'), /^gus +token +token \d+ .*\bblocked 1/)
  t.match(line(await asked(serving, 'blocks'), 'token'), /^token +\d+ +1h \(\d{4}-.*Z\) +lost on the train$/)
  t.match(line(await asked(serving, 'status'), 'blocked'), /1 \(postern blocks\)$/)
  t.match(await asked(serving, 'unblock', 'token', token), [/^Unblocked token \d+\.$/])
  t.equal((await ask(serving.port, '/api/roms', from('rmm gus all'))).status, 200)
  t.same(JSON.parse((await asked(serving, 'blocks', '--json')).join('\n')), [])
})

t.test('what cannot be blocked is said', async (t) => {
  const mistakes: readonly (readonly [string[], RegExp])[] = [
    [['block', 'user'], /WHAT is missing/],
    [['block', 'handheld', 'x'], /one of user\|token\|session\|address, not 'handheld'/],
    [['block', 'user', 'gus', '--for', 'ever'], /--for takes a duration/],
    [['block', 'address', 'private'], /neither an IP address nor a CIDR block/],
    [['block', 'address', '10.0.0.0/33'], /neither an IP address nor a CIDR block/],
    [['block', 'session', 'x'], /the 16 digits that `postern who` shows/],
    [
      ['block', 'token', 'rmm_0123'],
      /^A token is blocked by its number, which `postern who` shows, not by itself\.\n/,
    ],
    [['unblock', 'user', 'gus'], /user 'gus' is not blocked/],
  ]
  const ended = await Promise.all(mistakes.map(([args]) => postern([...args, '--admin', serving.admin])))
  for (const [i, [args, err]] of mistakes.entries()) t.match(ended[i], { code: 64, err }, args.join(' '))
})

t.test('a name that nobody is known by is blocked with a word', async (t) => {
  const block = (name: string) => postern(['block', 'user', name, '--admin', serving.admin])
  t.match(await block('guss'), { code: 0, out: /^Blocked user guss /, err: /no user of this name was found/ })
  t.notMatch((await block('edith')).err, /was found/)
  await asked(serving, 'unblock', 'user', 'guss')
  await asked(serving, 'unblock', 'user', 'edith')
})

t.test('while it observes, they show what would be refused', async (t) => {
  const observing = await serve(t, sets({ ...SETTINGS, enforcement: 'observe' }))
  await ask(observing.port, '/api/users', from('rmm gus all'))
  const { headers } = await ask(observing.port, '/api/roms', from('rmm unknown'))
  t.match(
    line(await asked(observing, 'status'), 'would deny'),
    /insufficient_scope 1, invalid_credential 1|invalid_credential 1, insuff/,
  )
  t.match(line(await asked(observing, 'who'), 'gus'), / 1 +0 +1 +Argosy/)
  const lines = await asked(observing, 'explain', String(headers['x-request-id']))
  t.match(lines.join('\n'), /would deny invalid_credential: unknown; the backend answered 401/)
})

t.test(
  'they find the listener where serve put it: by the same configuration, or by its socket',
  async (t) => {
    const folder = await freshFolder(t)
    const path = join(folder, 'admin.sock')
    const settings = sets({ ...SETTINGS, 'listen.admin': `unix:${path}` })
    await serve(t, settings)
    t.match(await postern(['status', ...settings]), { code: 0, out: /^version/ })
    t.match(await postern(['status', '--admin', path]), { code: 0, out: /^version/ })
    const port = await freePort()
    const nobody = ['--set', `listen.admin=127.0.0.1:${port}`, '--upstream', 'http://127.0.0.1:1']
    for (const command of ['status', 'who', 'tail']) {
      const err = `No gateway answers on 127.0.0.1:${port} (listen.admin); --admin names another place.\n`
      t.same(await postern([command, ...nobody]), { code: 69, out: '', err }, command)
    }
    t.match(await postern(['status', '--upstream', 'http://127.0.0.1:1', '--set', 'listen.admin=off']), {
      code: 64,
      err: /listen\.admin is off/,
    })
    t.match(await postern(['status', '--admin', 'somewhere']), { code: 64, err: /--admin takes/ })
    const env = { POSTERN_LISTEN_ADMIN: `127.0.0.1:${port}` }
    t.match(await postern(['status'], { env }), { code: 69 }, 'where the backend is, nobody need say')
  },
)

t.test('probes and admin may share an address, and the guard is for admin alone', async (t) => {
  const port = String(await freePort())
  const place = `127.0.0.1:${port}`
  const both = await serve(t, sets({ ...SETTINGS, 'listen.probes': place, 'listen.admin': place }))
  const elsewhere = { headers: { host: 'postern.example' } }
  t.equal((await ask(Number(port), '/readyz', elsewhere)).status, 200)
  t.equal((await ask(Number(port), '/status', elsewhere)).status, 403)
  t.match(line(await asked(both, 'status'), 'state'), /ok$/)
})
