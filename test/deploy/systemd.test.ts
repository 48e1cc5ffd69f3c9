import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { freshFolder, postern, readiness, serve } from '../cli/processes.ts'
import { freshStandin } from '../support/romm/ask.ts'
import { locate } from '../support/services/programs.ts'

const UNIT = readFileSync(new URL('../../deploy/systemd/postern.service', import.meta.url), 'utf8')
/** Of ten, times ten, as `systemd-analyze security` rates it: below two is what it calls well confined. */
const EXPOSURE = '20'

const setting = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(UNIT)?.[1] ?? ''
const command = setting('ExecStart').split(' ')

/** What `systemd-analyze` says of a unit of this text, whose program is one that this machine has; its exit code with it. */
async function analyze(
  t: Test,
  text: string,
  ...args: readonly string[]
): Promise<{ code: number; said: string }> {
  const file = join(await freshFolder(t), 'postern.service')
  writeFileSync(file, text.replaceAll(command[0] ?? '', process.execPath))
  const { promise, resolve } = Promise.withResolvers<{ code: number; said: string }>()
  const child = execFile(locate('systemd-analyze'), [...args, file], (_error, out, err) =>
    resolve({ code: child.exitCode ?? 1, said: out + err }),
  )
  return promise
}

t.test('systemd knows every line of the unit', async (t) => {
  t.same(await analyze(t, UNIT, 'verify'), { code: 0, said: '' })
  const { said } = await analyze(t, UNIT.replace('ProtectSystem', 'ProtectSytem'), 'verify')
  t.match(said, /ProtectSytem/, 'and says which it does not know')
})

t.test('it is confined, and stays so', async (t) => {
  const security = ['security', '--offline=true', `--threshold=${EXPOSURE}`]
  t.match(await analyze(t, UNIT, ...security), { code: 0, said: /OK/ })
  const { code } = await analyze(
    t,
    UNIT.replaceAll(/^(Protect|Restrict|SystemCall|Capability).*\n/gm, ''),
    ...security,
  )
  t.equal(code, 1)
})

t.test('its command runs in the state directory, and is reloaded and ended as the unit says', async (t) => {
  t.match(command, [/\/node$/, /\/dist\/main\.js$/, 'serve'])
  const standin = await freshStandin(t)
  const folder = await freshFolder(t)
  const state = join(folder, setting('StateDirectory'))
  mkdirSync(state, { mode: Number.parseInt(setting('StateDirectoryMode'), 8) })
  const serving = await serve(t, ['--upstream', standin.url], { cwd: state, folder: join(state, 'data') })
  t.match(await readiness(serving), { status: 200 })
  t.match(setting('ExecReload'), '-HUP $MAINPID')
  await serving.after(
    () => serving.kill('SIGHUP'),
    ({ msg }) => msg === 'listening',
  )
  serving.kill('SIGTERM')
  t.same(await serving.ended, { code: 0, err: '' })
})

t.test('what trying again does not help is not tried again', async (t) => {
  const mistakes = [
    await postern(['serve', '--set', 'profile']),
    await postern(['serve', '--set', 'nothing=1']),
  ]
  t.same(
    mistakes.map(({ code }) => String(code)),
    setting('RestartPreventExitStatus').split(' '),
  )
})
