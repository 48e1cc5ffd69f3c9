import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import type { Deployment } from 'kubernetes-types/apps/v1.js'
import type { ConfigMap, Secret, Service } from 'kubernetes-types/core/v1.js'
import type { NetworkPolicy } from 'kubernetes-types/networking/v1.js'
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.js'
import t, { type Test } from 'tap'
import { parseAllDocuments } from 'yaml'
import { curl, postern, serve, sets, type Serving } from '../cli/processes.ts'
import { freshLadder } from '../gateway/support.ts'
import { as, freshStandin } from '../support/romm/ask.ts'
import { freshMariadb, freshRedis } from '../support/services.ts'
import { temporaryFolder } from '../support/services/process.ts'

const execFileAsync = promisify(execFile)
const FOLDER = fileURLToPath(new URL('../../deploy/kubernetes/', import.meta.url))
const TSC = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url))

interface Objects {
  readonly ConfigMap: ConfigMap
  readonly Deployment: Deployment
  readonly NetworkPolicy: NetworkPolicy
  readonly PodDisruptionBudget: PodDisruptionBudget
  readonly Secret: Secret
  readonly Service: Service
}
type Manifest = {
  [K in keyof Objects]: Objects[K] & { readonly kind: K; readonly apiVersion: string }
}[keyof Objects]

const manifests = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.yaml'))
  .flatMap((file) => parseAllDocuments(readFileSync(join(FOLDER, file), 'utf8')))
  .map((document) => document.toJS() as Manifest)

const all = <K extends keyof Objects>(kind: K): Objects[K][] =>
  manifests.filter((manifest) => manifest.kind === kind) as Objects[K][]

/** @throws if there is none */
function only<K extends keyof Objects>(kind: K): Objects[K] {
  const [first] = all(kind)
  if (first === undefined) throw new Error(`there is no ${kind}`)
  return first
}

const { spec: pod, metadata: labelled } = only('Deployment').spec?.template ?? {}
const [container] = pod?.containers ?? []

/** What the compiler has against objects as the API has them: unknown members, missing ones, wrong types. */
async function complaints(t: Test, objects: readonly Manifest[]): Promise<string> {
  const lines = objects.map(({ kind, apiVersion }, index) => {
    const module = apiVersion === 'v1' ? 'core/v1' : apiVersion.replace('.k8s.io/', '/')
    return `export const o${index}: import('kubernetes-types/${module}.js').${kind} = ${JSON.stringify(objects[index])}`
  })
  const file = join(t.testdir({ 'objects.ts': lines.join('\n') }), 'objects.ts')
  const options = [
    '--ignoreConfig',
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--skipLibCheck',
    '--types',
    '',
  ]
  // What the test runner loads into every Node would keep the compiler from starting.
  const command = ['-u', 'NODE_OPTIONS', process.execPath, TSC, ...options, file]
  return execFileAsync('env', command).then(
    () => '',
    (error: unknown) => {
      const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string }
      return `${stdout}${stderr}` || 'the compiler ended without a word'
    },
  )
}

t.test('every object is what the API takes', async (t) => {
  t.same(manifests.map(({ kind }) => kind).toSorted(), [
    'ConfigMap',
    'Deployment',
    'NetworkPolicy',
    'NetworkPolicy',
    'PodDisruptionBudget',
    'Secret',
    'Service',
  ])
  t.equal(await complaints(t, manifests), '')
})

t.test('and the check finds what it does not take', async (t) => {
  const deployment = only('Deployment') as Manifest
  const text = JSON.stringify(deployment)
  for (const [what, bent] of Object.entries({
    'an unknown member': text.replace('"readinessProbe"', '"readynessProbe"'),
    'a missing member': text.replace('"containerPort":8090', '"hostPort":1'),
    'a wrong type': text.replace('"replicas":2', '"replicas":"two"'),
  })) {
    t.not(bent, text)
    t.match(await complaints(t, [JSON.parse(bent) as Manifest]), /error TS/, what)
  }
})

t.test('labels, names and files fit each other', async (t) => {
  const labels = labelled?.labels
  const name = { 'app.kubernetes.io/name': 'postern' }
  t.same(labels, name)
  t.same(only('Deployment').spec?.selector.matchLabels, labels)
  t.same(only('Service').spec?.selector, labels)
  t.same(only('PodDisruptionBudget').spec?.selector?.matchLabels, labels)
  const romm = all('NetworkPolicy').find(({ metadata }) => metadata?.name === 'romm-from-postern')
  t.same(
    romm?.spec?.ingress?.map(({ from }) => from),
    [[{ podSelector: { matchLabels: labels } }]],
  )

  const volumes = pod?.volumes?.map((volume) => volume.name) ?? []
  for (const { volumeMounts = [] } of [...(pod?.initContainers ?? []), ...(pod?.containers ?? [])])
    for (const mount of volumeMounts) t.ok(volumes.includes(mount.name), mount.name)
  const named = configuration().matchAll(/\/run\/secrets\/postern\/([\w-]+)/g)
  t.same(
    [...named].map(([, key]) => String(key)).toSorted(),
    Object.keys(only('Secret').stringData ?? {}).toSorted(),
    'the Secret has what the ConfigMap names',
  )
})

t.test('pods may do no more than they must', async (t) => {
  t.match(pod, {
    automountServiceAccountToken: false,
    securityContext: { runAsNonRoot: true, runAsUser: 1000 },
  })
  for (const { securityContext } of [...(pod?.initContainers ?? []), ...(pod?.containers ?? [])])
    t.match(securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
})

t.test('two replicas with this configuration and these keys are ready, and are one', async (t) => {
  const [standin, own, ladder] = await Promise.all([
    freshStandin(t),
    freshRedis(t),
    freshLadder(t, freshMariadb),
  ])
  const { reader, redis, settings } = ladder
  const folder = temporaryFolder('kubernetes')
  const secrets = join(folder, 'secrets')
  await mkdir(secrets)
  const given = { 'romm-secret': settings['romm.secret'], 'database-password': reader.password }
  for (const [name, value] of Object.entries({ ...only('Secret').stringData, ...given }))
    await writeFile(join(secrets, name), `${value ?? ''}\n`)
  const config = join(folder, 'postern.yaml')
  await writeFile(config, configuration().replaceAll('/run/secrets/postern', secrets))
  t.match(await postern(['check', '--config', config]), { code: 0, err: '' })

  // As the head of the file says.
  const keys = join(folder, 'keys')
  const made = ['keys', 'generate', '--upstream', 'http://romm:8080', '--set', `keys.folder=${keys}`]
  t.equal((await postern(made)).code, 0)

  for (const { url } of [own, redis]) await protect(url)
  const here = sets({
    'upstream.url': standin.url,
    'romm.database.host': reader.host,
    'romm.database.port': String(reader.port),
    'romm.database.user': reader.user,
    'romm.database.name': reader.database,
    'romm.redis.host': redis.host,
    'romm.redis.port': String(redis.port),
    'redis.host': own.host,
    'redis.port': String(own.port),
  })
  const replicas = await Promise.all(
    ['one', 'two'].map((name) => replica(t, join(folder, name), keys, ['--config', config, ...here])),
  )
  const shown = await Promise.all(replicas.map(({ url }) => curl(`${url}/.well-known/postern/jwks.json`)))
  t.equal(shown[0]?.body, shown[1]?.body, 'they show the same keys')
  const { cookie = '' } = as('session vera')
  for (const { url, probes } of replicas) {
    t.match(await curl('-H', `cookie: ${cookie}`, `${url}/api/roms`), { status: 200 })
    t.match(await curl(`${probes}${container?.readinessProbe?.httpGet?.path ?? ''}`), {
      status: 200,
      body: /"status":"ok"/,
    })
    t.equal((await curl(`${probes}${container?.livenessProbe?.httpGet?.path ?? ''}`)).status, 200)
  }
})

/** With the password of the example. */
async function protect(url: string): Promise<void> {
  const redis = new Redis(url)
  await redis.config('SET', 'requirepass', only('Secret').stringData?.['valkey-password'] ?? '')
  redis.disconnect()
}

/** The file in the ConfigMap. */
function configuration(): string {
  return only('ConfigMap').data?.['postern.yaml'] ?? ''
}

/** A pod: the keys as its first container copies them, then the gateway. */
async function replica(t: Test, folder: string, keys: string, args: readonly string[]): Promise<Serving> {
  const data = join(folder, 'data')
  await mkdir(data, { recursive: true })
  const [shell = '', ...words] = pod?.initContainers?.[0]?.command ?? []
  const command = words.map((word) => word.replaceAll('/run/secrets/keys', keys))
  await execFileAsync(shell, command, { cwd: folder })
  return serve(t, args, { folder: data, cwd: folder })
}
