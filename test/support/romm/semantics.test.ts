import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { as, ask, freshStandin } from './ask.ts'
import { CsrfTokens } from './csrf.ts'
import { readFixture } from './facts.ts'
import { FILE } from './reply.ts'
import { generationOf } from './scopes.ts'
import type { Standin, StandinOptions } from './standin.ts'

const fixture = readFixture()
const VERA = as('session vera')['cookie']?.slice('romm_session='.length) ?? ''
const ME = '/api/users/me'

const statusOf = async (standin: Standin, path: string, headers: Record<string, string>): Promise<number> =>
  (await ask(standin.port, path, { headers })).status

const fields = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>

const basic = (text: string): string => `Basic ${Buffer.from(text).toString('base64')}`

t.test('spellings of a credential count as Python reads them', async (test) => {
  const standin = await freshStandin(test)
  const token = as('rmm vera all')['authorization']?.slice('Bearer '.length) ?? ''
  const spellings: readonly (readonly [Record<string, string>, number])[] = [
    [{ cookie: `romm_session="${VERA}"` }, 200],
    [{ cookie: `romm_session="\\${VERA.charCodeAt(0).toString(8).padStart(3, '0')}${VERA.slice(1)}"` }, 200],
    [{ cookie: ` romm_session\xa0= ${VERA} ; a=b` }, 200],
    [{ cookie: `romm_session=x; romm_session=${VERA}` }, 200],
    [{ cookie: `romm_session=${VERA}; romm_session=x` }, 401],
    [{ cookie: `Romm_Session=${VERA}` }, 401],
    [{ authorization: `bearer  ${token}` }, 200],
    [{ authorization: `Bearer\t${token}` }, 200],
    [{ authorization: `Bearer\xa0${token}` }, 200],
    [{ authorization: `Bearer ${token.toUpperCase()}` }, 500],
    [{ authorization: basic('vera:pw-vera-1234').replace(/=*$/, '==??') }, 200],
    [{ authorization: basic('vera:pw-vera-1234').replace(' ', '\t') }, 500],
    [{ authorization: basic('vera:pw-vera-é') }, 500],
    [{ authorization: basic('vera:pw\0') }, 500],
  ]
  for (const [headers, status] of spellings) {
    test.equal(await statusOf(standin, ME, headers), status, JSON.stringify(headers))
  }
})

t.test('a live session slides, a dead one is cleared for good', async (test) => {
  const standin = await freshStandin(test)
  const question = { headers: as('session vera') }
  const slid = await ask(standin.port, '/api/heartbeat', question)
  test.same(slid.headers['set-cookie'], [
    `romm_session=${VERA}; path=/; Max-Age=1209600; httponly; samesite=strict`,
  ])
  standin.state.disableUser('vera')
  const cleared = await ask(standin.port, '/api/heartbeat', question)
  test.match(cleared.headers['set-cookie']?.[0], /^romm_session=null; path=\/; expires=Thu, 01 Jan 1970/)
  standin.state.enableUser('vera')
  test.equal(await statusOf(standin, ME, question.headers), 401)
  standin.reset()
  test.equal(await statusOf(standin, ME, question.headers), 200)
})

t.test('login makes a session, logout ends it', async (test) => {
  const { port } = await freshStandin(test)
  const authorization = basic('vera:pw-vera-1234')
  const login = await ask(port, '/api/login', { method: 'POST', headers: { authorization } })
  const cookie = login.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
  test.equal(fields((await ask(port, ME, { headers: { cookie } })).text)['username'], 'vera')
  const logout = await ask(port, '/api/logout', { method: 'POST', headers: { cookie } })
  test.equal(logout.status, 200)
  test.equal((await ask(port, ME, { headers: { cookie } })).status, 401)
})

t.test('an unsafe request needs the signed CSRF token, unless it shows an Authorization', async (test) => {
  const { port } = await freshStandin(test, { csrf: true })
  const cookie = `romm_session=${VERA}`
  const first = await ask(port, ME, { headers: { cookie } })
  const [csrf = '', session = ''] = first.headers['set-cookie'] ?? []
  test.match(csrf, /^romm_csrftoken=[^;]+; Path=\/; SameSite=lax$/)
  test.match(session, /^romm_session=/)
  const value = csrf.slice('romm_csrftoken='.length, csrf.indexOf(';'))
  test.equal(new CsrfTokens(fixture.secret).read(value)?.user_id, 2, 'the secret can be checked with it')
  test.equal(new CsrfTokens('another').read(value), undefined)

  const path = '/api/users/2/ra/refresh'
  const post = (headers: Record<string, string>): ReturnType<typeof ask> =>
    ask(port, path, { method: 'POST', headers })
  const refused = await post({ cookie })
  test.match(refused, { status: 403, text: 'CSRF token verification failed' })
  const both = `${cookie}; romm_csrftoken=${value}`
  test.equal((await post({ cookie: both })).status, 403)
  test.equal((await post({ cookie: both, 'x-csrftoken': value })).status, 200)
  test.equal((await post({ cookie, authorization: 'Bearer x' })).status, 200, 'the hole of 5.2')
})

t.test('the CSRF token is signed as itsdangerous signs it', async (test) => {
  const signed = 'eyJ0b2tlbiI6InQiLCJ1c2VyX2lkIjpudWxsfQ.p5DKQ3mH5K18ctKKDCdiLn_rj90'
  const tokens = new CsrfTokens('0123456789abcdef0123456789abcdef')
  test.same(tokens.read(signed), { token: 't', user_id: null })
  test.equal(tokens.read(signed.replace('p5D', 'p5E')), undefined)
})

t.test('older releases answer 403 to anonymous requests, and cap others in kiosk mode', async (test) => {
  const held = async (options: StandinOptions, name: string): Promise<number> => {
    const standin = await freshStandin(test, options)
    return statusOf(standin, '/api/devices/x', as(name))
  }
  test.equal(await held({}, 'anonymous'), 401)
  test.equal(await held({ version: '5.1.0' }, 'anonymous'), 403)
  test.equal(await held({ version: '4.9.2' }, 'anonymous'), 403)
  const scopes = async (version: string, name: string): Promise<number> => {
    const { port } = await freshStandin(test, { version, kiosk: true })
    const me = fields((await ask(port, ME, { headers: as(name) })).text)
    return (me['oauth_scopes'] as string[]).length
  }
  test.same(await Promise.all(['4.9.2', '5.1.0', '5.2.0'].map((v) => scopes(v, 'session vera'))), [8, 9, 15])
  test.same(
    await Promise.all(['4.9.2', '5.1.0', '5.2.0'].map((v) => scopes(v, 'session edith'))),
    [16, 9, 18],
  )
  test.same(
    ['4.9.2', '5.0.0', '5.1.0'].map((version) => generationOf(version).scopes.length),
    [19, 20, 22],
  )
})

t.test('whoever comes first becomes the admin, and nobody after', async (test) => {
  const { port } = await freshStandin(test, { users: false })
  const wizard = async (): Promise<unknown> => fields((await ask(port, '/api/heartbeat')).text)['SYSTEM']
  const create = (username: string): ReturnType<typeof ask> =>
    ask(port, '/api/users', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ username, password: 'secret-1234', role: 'admin' }),
    })
  test.match(await wizard(), { VERSION: '5.2.0', SHOW_SETUP_WIZARD: true })
  test.equal((await create('First')).status, 201)
  test.match(await wizard(), { SHOW_SETUP_WIZARD: false })
  test.equal((await create('second')).status, 403)
  test.equal((await ask(port, ME, { headers: { authorization: basic('first:secret-1234') } })).status, 200)
})

t.test('the password grant gives tokens, a refresh token works once', async (test) => {
  const { port } = await freshStandin(test)
  const grant = (form: Record<string, string>): ReturnType<typeof ask> =>
    ask(port, '/api/token', {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(form).toString(),
    })
  const password = { grant_type: 'password', username: 'vera', password: 'pw-vera-1234' }
  test.equal((await grant({ ...password, scope: 'users.write' })).status, 403)
  test.equal((await grant({ ...password, password: 'no' })).status, 401)
  const given = fields((await grant({ ...password, scope: 'me.read' })).text)
  const authorization = `Bearer ${String(given['access_token'])}`
  test.equal((await ask(port, ME, { headers: { authorization } })).status, 200)
  test.equal((await ask(port, '/api/roms', { headers: { authorization } })).status, 403)
  const refresh = { grant_type: 'refresh_token', refresh_token: String(given['refresh_token']) }
  test.equal((await grant(refresh)).status, 200)
  test.equal((await grant(refresh)).status, 401)
})

t.test('changes made over HTTP change what credentials are worth', async (test) => {
  const { port, state } = await freshStandin(test)
  const send = (method: string, path: string, name: string, body?: object): ReturnType<typeof ask> => {
    const headers = { ...as(name), 'content-type': 'application/json' }
    return ask(port, path, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  }
  const status = async (path: string, headers: Record<string, string>): Promise<number> =>
    (await ask(port, path, { headers })).status

  const created = await send('POST', '/api/client-tokens', 'session vera', { name: 'n', scopes: ['me.read'] })
  const { id, raw_token: raw } = fields(created.text)
  const bearer = { authorization: `Bearer ${String(raw)}` }
  test.equal(await status(ME, bearer), 200)
  test.equal((await send('DELETE', `/api/client-tokens/${String(id)}`, 'session gus')).status, 404)
  test.equal((await send('DELETE', `/api/client-tokens/${String(id)}`, 'session vera')).status, 204)
  test.equal(await status(ME, bearer), 401)

  test.equal(await status('/api/roms', as('session gus')), 200)
  const group = { overrides: [{ entity: 'roms', action: 'read', granted: false }] }
  test.equal((await send('PUT', '/api/permissions/users/4', 'session admin', group)).status, 200)
  test.equal(await status('/api/roms', as('session gus')), 403)

  test.equal((await send('PUT', '/api/users/2', 'session gus', { enabled: false })).status, 403)
  test.equal((await send('PUT', '/api/users/2', 'session admin', { enabled: false })).status, 200)
  test.equal(await status(ME, as('rmm vera all')), 401)
  test.equal((await send('PUT', '/api/users/3', 'session edith', { password: 'new-1234' })).status, 200)
  test.equal(await status(ME, as('session edith')), 401, 'the session that changed it')
  test.equal(await status(ME, { authorization: basic('edith:new-1234') }), 200)
  test.equal((await send('DELETE', '/api/users/4', 'session admin')).status, 204)
  test.equal(await status(ME, as('rmm gus all')), 401)
  test.notOk([...state.tokens.values()].some(({ user_id }) => user_id === 4))
})

t.test('paths reach what they reach through the web server and the router of RomM', async (test) => {
  const { port, requests } = await freshStandin(test)
  const paths: readonly (readonly [method: string, path: string, status: number])[] = [
    ['GET', '/%61pi/users/me', 401],
    ['GET', '/api%2fusers%2fme', 401],
    ['GET', '/api/users/me%2f', 401],
    ['GET', '/api/users/me/', 401],
    ['GET', '/api/users/me//', 307],
    ['GET', '//api/users/me', 404],
    ['GET', '/api/./users/me', 404],
    ['GET', '/API/users/me', 200],
    ['GET', '/api/users/abc', 422],
    ['GET', '/api/nothing', 404],
    ['HEAD', '/api/users/me', 405],
    ['GET', '/openapi.json', 200],
    ['GET', '/apix', 404],
    ['GET', '/login', 200],
    ['POST', '/login', 405],
    ['GET', '//assets/romm/resources/roms/1/2/cover/big.png?ts=1', 200],
    ['GET', '/assets/nothing', 404],
    ['GET', '/library/x', 404],
  ]
  for (const [method, path, status] of paths) {
    test.equal((await ask(port, path, { method })).status, status, `${method} ${path}`)
    test.equal(requests.at(-1)?.target, path)
  }
  const other = await ask(port, '/api/heartbeat', { method: 'DELETE' })
  test.match(other, { status: 405, headers: { allow: 'GET' }, text: '{"detail":"Method Not Allowed"}' })
})

t.test('a download is a download, in ranges too', async (test) => {
  const { port } = await freshStandin(test)
  const path = '/api/roms/1/content/Game%2520%255B%2521%255D.zip'
  const get = (range?: string): ReturnType<typeof ask> =>
    ask(port, path, { headers: { ...as('session vera'), ...(range && { range }) } })
  test.equal((await get()).text, FILE.toString('latin1'))
  const parts = {
    'bytes=0-0': [0, 1],
    'bytes=1000000-': [1_000_000, FILE.length],
    'bytes=-5': [-5, FILE.length],
  }
  for (const [range, [start, end]] of Object.entries(parts)) {
    const part = await get(range)
    test.equal(part.status, 206)
    test.equal(part.text, FILE.subarray(start, end).toString('latin1'), range)
  }
  test.match(await get('bytes=9999999-'), { status: 416, headers: { 'content-range': 'bytes */1048576' } })
  test.equal((await ask(port, path, { method: 'HEAD' })).status, 401)
  const open = await freshStandin(test, { openDownloads: true })
  test.equal((await ask(open.port, path, { method: 'HEAD' })).headers['content-length'], '1048576')
})

t.test('what arrives is recorded, bodies by their length', async (test) => {
  const standin = await freshStandin(test)
  const { port, requests } = standin
  const upload = await ask(port, '/api/roms/upload/u1', {
    method: 'PUT',
    headers: { ...as('session edith'), 'x-chunk-index': '0' },
    body: Buffer.alloc(3 << 20),
  })
  test.match(fields(upload.text), { method: 'PUT', user: 'edith', params: { upload_id: 'u1' } })
  test.match(requests, [{ method: 'PUT', target: '/api/roms/upload/u1', bytes: 3 << 20, upgrade: false }])
  await ask(port, ME)
  test.equal(standin.questions, 1)
  standin.intercept = (_, response) => response.writeHead(418).end().headersSent
  test.equal((await ask(port, ME)).status, 418)
  standin.forget()
  test.equal(requests.length + standin.questions, 0)
})

async function firstMessages(test: Test, url: string, headers: Record<string, string>): Promise<string[]> {
  const socket = new WebSocket(url, { headers })
  test.teardown(() => socket.terminate())
  const messages: string[] = []
  socket.on('message', (data: Buffer) => messages.push(data.toString()))
  await once(socket, 'message')
  socket.send('2probe')
  await once(socket, 'message')
  return messages
}

t.test('sockets take everybody, name the session and echo', async (test) => {
  const { port } = await freshStandin(test)
  for (const path of ['/ws/socket.io/', '/netplay/socket.io/']) {
    const url = `ws://127.0.0.1:${port}${path}?EIO=4&transport=websocket`
    const [hello = '', echoed] = await firstMessages(test, url, as('session vera'))
    test.equal(fields(hello)['user'], 'vera')
    test.equal(echoed, '2probe')
    test.equal(fields((await firstMessages(test, url, as('rmm admin all')))[0] ?? '')['user'], null)
  }
  const refused = new WebSocket(`ws://127.0.0.1:${port}/ws/socket.io/`, { headers: as('jwt garbage') })
  await test.rejects(once(refused, 'open'), /500/)
  const polled = await ask(port, '/ws/socket.io/?EIO=4&transport=polling')
  test.match(polled.text, /^0\{"sid":/)
})

t.test('it runs alone and says where', async (test) => {
  const program = fileURLToPath(new URL('standin.ts', import.meta.url))
  const child = spawn(process.execPath, [program, '--port', '0', '--version', '5.1.0'], { stdio: 'pipe' })
  test.teardown(() => child.kill())
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const heartbeat = await ask(Number(new URL(line.toString().trim()).port), '/api/heartbeat')
  test.match(fields(heartbeat.text), { SYSTEM: { VERSION: '5.1.0', SHOW_SETUP_WIZARD: false } })
})
