/** Nothing is shipped that nobody tried: every file in deploy/ is claimed by a test, or says in its head why it cannot be. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** Each path below deploy/, and the test that runs or checks it. */
const CLAIMS: Readonly<Record<string, string>> = {
  'README.md': 'test/deploy/claims.test.ts',
  'caddy/forward_auth.Caddyfile': 'test/proxies/exchanges.test.ts',
  'compose/postern-user.sql': 'test/deploy/strict.test.ts',
  'compose/strict.yml': 'test/deploy/strict.test.ts',
  'cloudflared/config.yml': 'test/proxies/exchanges.test.ts',
  'envoy/ext_authz.yaml': 'test/proxies/exchanges.test.ts',
  'envoy/reverse_proxy.yaml': 'test/proxies/exchanges.test.ts',
  'grafana/postern.json': 'test/deploy/metrics.test.ts',
  'haproxy/haproxy.cfg': 'test/proxies/exchanges.test.ts',
  'kubernetes/example/secret.yaml': 'test/deploy/kubernetes.test.ts',
  'kubernetes/network-policies.yaml': 'test/deploy/kubernetes.test.ts',
  'kubernetes/postern.yaml': 'test/deploy/kubernetes.test.ts',
  'systemd/postern.service': 'test/deploy/systemd.test.ts',
  'nginx-proxy-manager.md': 'test/proxies/exchanges.test.ts',
  'nginx/auth_request.conf': 'test/proxies/exchanges.test.ts',
  'nginx/reverse_proxy.conf': 'test/proxies/exchanges.test.ts',
  'traefik/forward_auth.labels.yml': 'test/proxies/recipes.test.ts',
  'traefik/forward_auth.yml': 'test/proxies/exchanges.test.ts',
  'traefik/reverse_proxy.labels.yml': 'test/proxies/recipes.test.ts',
  'traefik/reverse_proxy.yml': 'test/proxies/exchanges.test.ts',
  'traefik/traefik.yml': 'test/proxies/recipes.test.ts',
  'prometheus/postern.rules.yml': 'test/deploy/metrics.test.ts',
}

/** What the head of a file says that no test can try. */
const UNTESTED = /^\W*Not tested: \S/m
const HEAD_LINES = 8

const files = readdirSync(join(root, 'deploy'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name).slice(join(root, 'deploy/').length))
  .map((path) => path.replaceAll('\\', '/'))

const head = (file: string): string =>
  readFileSync(join(root, 'deploy', file), 'utf8')
    .split('\n')
    .slice(0, HEAD_LINES)
    .join('\n')

t.test('every file in deploy/ is tried by a test, or says why none can', async (t) => {
  t.ok(files.length > 0, 'it saw files')
  const unclaimed = files.filter((file) => CLAIMS[file] === undefined && !UNTESTED.test(head(file)))
  t.same(unclaimed, [], 'claim them here, or begin a line of their head with "Not tested: "')
})

t.test('every claim has its file and its test', async (t) => {
  for (const [claim, test] of Object.entries(CLAIMS)) {
    t.ok(existsSync(join(root, test)) && test.endsWith('.test.ts'), `${test} is there`)
    t.ok(files.includes(claim), `${claim} is there`)
  }
})

t.test('deploy/README.md names whatever stands beside it', async (t) => {
  const index = readFileSync(join(root, 'deploy/README.md'), 'utf8')
  for (const name of readdirSync(join(root, 'deploy'))) if (name !== 'README.md') t.match(index, `](${name}`)
})
