import { connect } from 'node:net'
import t from 'tap'
import { PosternError } from '../../src/errors.ts'
import type { Question } from '../../src/upstream/question.ts'
import { closed, gateway, get, httpBackend, perRequest, rawBackend, until, upstreamFor } from './support.ts'

function question(path: string, more: Partial<Question> = {}): Question {
  return { method: 'GET', path, headers: {}, timeout: 10_000, maxBytes: 1000, ...more }
}

t.test('a question is answered with status, headers and body; redirects are answers', async (t) => {
  const url = await httpBackend(t, (req, res) => {
    if (req.url === '/away') return void res.writeHead(302, { location: '/in' }).end()
    let body = ''
    req.on('data', (chunk: Buffer) => (body += chunk.toString()))
    req.on('end', () => res.end(`${req.method} ${req.url} ${String(req.headers['x-a'])} ${body}`))
  })
  const { upstream } = upstreamFor(t, url)
  const away = await upstream.request(question('/away'))
  t.match(away, { status: 302, headers: { location: '/in' } })
  const posted = await upstream.request(
    question('/in?x=1', { method: 'POST', headers: { 'X-A': 'b' }, body: 'hi' }),
  )
  t.equal(posted.body.toString(), 'POST /in?x=1 b hi')
})

t.test(
  'an answer that is too large, too slow or broken is thrown, and told to whom it concerns',
  async (t) => {
    const url = await rawBackend(t, (socket) => {
      perRequest(socket, (head) => {
        if (head.includes('/large'))
          return `HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n${'x'.repeat(1001)}`
        if (head.includes('/fits'))
          return `HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n${'x'.repeat(1000)}`
        if (head.includes('/drip')) return 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx'
        if (head.includes('/broken')) return 'HTTP/9\r\n\r\n'
        return undefined
      })
    })
    const { upstream, failures } = upstreamFor(t, url)
    t.equal((await upstream.request(question('/fits'))).body.length, 1000)
    await t.rejects(upstream.request(question('/large')), { code: 'upstream_unreachable' })
    await t.rejects(upstream.request(question('/silent', { timeout: 30 })), { code: 'upstream_timeout' })
    await t.rejects(upstream.request(question('/drip', { timeout: 30 })), { code: 'upstream_timeout' })
    await t.rejects(upstream.request(question('/broken')), PosternError)
    await t.rejects(upstream.request(question('no path')), { code: 'upstream_unreachable' })
    t.strictSame(failures, [
      'upstream_unreachable',
      'upstream_timeout',
      'upstream_timeout',
      'upstream_unreachable',
      'upstream_unreachable',
    ])
  },
)

t.test('questions in a queue keep their deadline, and stand in nobody’s way after it', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, (head) => (head.includes('/now') ? 'HTTP/1.1 204 No Content\r\n\r\n' : undefined))
  })
  const { upstream } = upstreamFor(t, url)
  const asked = Array.from({ length: 20 }, (_, i) => upstream.request(question(`/${i}`, { timeout: 30 })))
  const answers = await Promise.allSettled(asked)
  t.ok(answers.every(({ status }) => status === 'rejected'))
  t.equal((await upstream.request(question('/now'))).status, 204)
})

t.test('slow downloads do not starve questions', async (t) => {
  const url = await httpBackend(t, (req, res) => {
    if (req.url === '/ask') res.end('here')
    else res.write('slow')
  })
  const { port, upstream } = await gateway(t, url, { connections: 2 })
  const clients = Array.from({ length: 3 }, () => connect(port, '127.0.0.1'))
  for (const client of clients) client.write(get('/download'))
  await Promise.any(clients.map((client) => until(client, 'slow')))
  t.equal((await upstream.request(question('/ask'))).body.toString(), 'here')
  for (const client of clients) client.destroy()
  await Promise.all(clients.map(closed))
})

t.test('a question that meets a closing connection is asked once more, if it is a safe one', async (t) => {
  const url = await rawBackend(t, (socket) => {
    perRequest(socket, (_head, nth) => {
      if (nth === 0) return 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
      socket.destroy()
      return undefined
    })
  })
  const { upstream } = upstreamFor(t, url)
  await upstream.request(question('/'))
  t.equal((await upstream.request(question('/'))).status, 200)
  await t.rejects(upstream.request(question('/', { method: 'POST' })), { code: 'upstream_unreachable' })
})
