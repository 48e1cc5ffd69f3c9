import t from 'tap'
import { loadConfig } from '../../src/config/load.ts'

const UPSTREAM = 'upstream: http://romm:8080\n'

function problemsOf(text: string) {
  const loaded = loadConfig({ env: {}, file: 'postern.yaml', text })
  return loaded.ok ? [] : loaded.problems
}

t.test('a key that stands twice is refused, with its line', async () => {
  t.match(problemsOf(`${UPSTREAM}replicas: 1\nreplicas: 2\n`), [
    { message: /second time/, where: 'postern.yaml:3' },
  ])
  t.match(problemsOf(`${UPSTREAM}ask:\n  ttl: 1s\n  ttl: 2s\n`), [{ where: 'postern.yaml:4' }])
})

t.test('half a YAML text is refused', async () => {
  t.match(problemsOf(`${UPSTREAM}trustedProxies: [private`), [{ where: /^postern\.yaml:2/ }])
  t.match(problemsOf(`${UPSTREAM}romm: "`), [{ where: /^postern\.yaml:2/ }])
})

/** A list of nine times the same. */
function nine(item: string): string {
  return `[${Array(9).fill(item).join(', ')}]`
}

t.test('aliases that multiply are refused', async () => {
  const bomb = Array.from({ length: 9 }, (_, i) => `k${i}: &k${i} ${nine(i === 0 ? 'x' : `*k${i - 1}`)}`)
  t.match(problemsOf(bomb.join('\n')), [{ message: /alias/i, hint: /aliases/ }])
})

t.test('an honest alias is fine', async () => {
  t.same(
    problemsOf(`${UPSTREAM}rules:\n  - { path: /a, scopes: &s [x] }\n  - { path: /b, scopes: *s }\n`),
    [],
  )
})

t.test('merge keys, unknown tags, several documents and other shapes are refused', async () => {
  t.not(problemsOf(`${UPSTREAM}ask:\n  <<: { ttl: 1s }\n`).length, 0)
  t.not(problemsOf(`${UPSTREAM}publicUrl: !!js/function "f"\n`).length, 0)
  t.not(problemsOf(`${UPSTREAM}---\n${UPSTREAM}`).length, 0)
  t.match(problemsOf('[1, 2]'), [{ message: /section/ }])
  t.match(problemsOf(`__proto__: { x: 1 }\n${UPSTREAM}`), [{ path: '__proto__' }])
  t.match(problemsOf(`constructor: 1\n${UPSTREAM}`), [{ path: 'constructor' }])
})

t.test('a text longer than any configuration is refused', async () => {
  t.match(problemsOf(`#${'x'.repeat(1_100_000)}\n${UPSTREAM}`), [{ message: /1 MiB/ }])
})

t.test('a file that is not there is a problem, not an exception', async () => {
  const loaded = loadConfig({ env: {}, file: '/nowhere/postern.yaml' })
  t.match(loaded, { ok: false, problems: [{ message: /cannot be read/, where: '/nowhere/postern.yaml' }] })
})
