/** The backends of docs/legacy.md, each run as it is shown behind a gateway and past it. */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { generatePrivateKey } from '../../src/assertion/algorithm.ts'
import { readKeys } from '../../src/assertion/folder.ts'
import { StandaloneStore } from '../../src/profiles/standalone/store.ts'
import { systemClock } from '../../src/identity/clock.ts'
import { freshGateway, type TestGateway } from '../support/gateway.ts'
import { pythonPackages } from '../support/python.ts'
import { ask } from '../support/romm/ask.ts'
import { freePort, temporaryFolder } from '../support/services/process.ts'
import { locate } from '../support/services/programs.ts'
import { HOST, serve, type Server } from '../support/services/server.ts'
import { basic } from '../support/standalone.ts'
import { forgeries } from './forgeries.ts'

const execFileAsync = promisify(execFile)
const EXAMPLES = fileURLToPath(new URL('../../docs/examples/', import.meta.url))

const EXPECTED = { issuer: 'postern', audience: 'backend' }

interface Program {
  readonly env?: Readonly<Record<string, string>>
  readonly argv: (port: number) => readonly string[]
  /** What it says once it listens. */
  readonly ready: RegExp
}

const node = (file: string): Promise<Program> =>
  Promise.resolve({ argv: () => [process.execPath, join(EXAMPLES, file)], ready: /listening/ })

const BACKENDS: Readonly<Record<string, () => Promise<Program>>> = {
  'express.mjs': () => node('express.mjs'),
  'fastify.mjs': () => node('fastify.mjs'),
  'fastapi_backend.py': python,
  'backend.go': go,
}

async function python(): Promise<Program> {
  const packages = await pythonPackages(join(EXAMPLES, 'requirements.txt'))
  const uvicorn = [locate('python3'), '-m', 'uvicorn', '--app-dir', EXAMPLES, 'fastapi_backend:app']
  return {
    env: { PYTHONPATH: packages, PYTHONDONTWRITEBYTECODE: '1' },
    argv: (port) => [...uvicorn, '--host', HOST, '--port', String(port)],
    ready: /Uvicorn running/,
  }
}

/** From a folder that is laid out as the page says. */
async function go(): Promise<Program> {
  const folder = temporaryFolder('go')
  await mkdir(join(folder, 'postern'))
  await copyFile(join(EXAMPLES, 'backend.go'), join(folder, 'main.go'))
  await copyFile(join(EXAMPLES, 'verify.go'), join(folder, 'postern/verify.go'))
  await writeFile(join(folder, 'go.mod'), 'module example.org/backend\n\ngo 1.19\n')
  const env = { ...process.env, GOPROXY: 'off', GOTOOLCHAIN: 'local', GOFLAGS: '-mod=mod' }
  await execFileAsync(locate('go'), ['vet', './...'], { cwd: folder, env })
  await execFileAsync(locate('go'), ['build', '-o', 'backend', '.'], { cwd: folder, env })
  return { argv: () => [join(folder, 'backend')], ready: /listening/ }
}

async function startBackend(
  t: Test,
  { env = {}, argv, ready }: Program,
  gatewayPort: number,
): Promise<Server> {
  const jwks = `http://${HOST}:${gatewayPort}/.well-known/postern/jwks.json`
  const variables = Object.entries({ ...env, HOST, POSTERN_JWKS: jwks })
  const backend = await serve(
    temporaryFolder('backend'),
    (port) => ({
      path: '/usr/bin/env',
      args: [...variables.map((pair) => pair.join('=')), `PORT=${port}`, ...argv(port)],
      owner: {},
      ready,
      stopSignal: 'SIGKILL',
    }),
    (port) => `http://${HOST}:${port}`,
  )
  t.teardown(() => backend.close())
  return backend
}

/** A gateway on a port that its backend was told before, with one user. */
async function startGateway(t: Test, port: number, backend: Server): Promise<TestGateway> {
  const served = await freshGateway(
    t,
    { profile: 'standalone', 'listen.edge': `${HOST}:${port}`, 'upstream.url': backend.url },
    { text: 'rules: [{ path: /whoami, authenticated: true }]' },
  )
  const file = join(served.folder, 'postern.sqlite')
  const store = new StandaloneStore({ file, tokenPrefix: 'pst_', clock: systemClock })
  await store.addUser('ada', 'a-long-password', { role: 'editor', scopes: [] })
  store.close()
  return served
}

const whoami = (at: number, headers: Record<string, string> = {}) => ask(at, '/whoami', { headers })
const assertion = (value: string) => ({ 'x-postern-assertion': value })

for (const [name, prepare] of Object.entries(BACKENDS)) {
  t.test(`${name} knows who asks through Postern, and nobody else`, async (t) => {
    const [program, port] = await Promise.all([prepare(), freePort()])
    const backend = await startBackend(t, program, port)
    const stranger = { kid: 'unknown', privateKey: generatePrivateKey('EdDSA'), publicJwk: {} }
    const unknown = await forgeries(stranger, EXPECTED)
    t.equal(
      (await whoami(backend.port, assertion(unknown.good))).status,
      503,
      'while it cannot have the keys',
    )

    const { folder } = await startGateway(t, port, backend)
    const [key] = await readKeys(join(folder, 'keys'))
    if (key === undefined) throw new Error('the gateway has made no key')
    const { good, bad } = await forgeries(key, EXPECTED)

    const ada = { authorization: basic('ada', 'a-long-password') }
    const known = await whoami(port, ada)
    t.match([known.status, JSON.parse(known.text)], [200, { username: 'ada', subject: '1' }])
    const spoofed = await whoami(port, { ...ada, ...assertion(good) })
    t.match(JSON.parse(spoofed.text), { subject: '1' }, "a client's own is not believed")
    t.equal((await whoami(port)).status, 401)

    t.equal((await whoami(backend.port)).status, 401, 'past Postern, with nothing')
    t.equal(
      (await whoami(backend.port, assertion(good))).status,
      200,
      'what follows differs in one thing each',
    )
    for (const [what, token] of Object.entries(bad))
      t.equal((await whoami(backend.port, assertion(token))).status, 401, what)
  })
}
