import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import t from 'tap'
import { openDatabase } from '../../src/profiles/standalone/database.ts'
import { standaloneSources } from '../../src/profiles/standalone/sources.ts'
import { virtualClock } from '../support/clock.ts'
import { newFile, openStore } from '../support/standalone.ts'

const PASSWORD = 'correct horse'
const STORE = new URL('../../src/profiles/standalone/store.ts', import.meta.url).href

t.test('only the owner may read the file, and neither passwords nor tokens are in it', async (t) => {
  const file = newFile(t)
  const store = openStore(t, file)
  await store.addUser('alice', PASSWORD, { scopes: ['notes.read'] })
  const { token } = store.addToken('alice', 'reader')
  const names = [file, `${file}-wal`]
  for (const name of names) t.equal(statSync(name).mode & 0o077, 0, name)
  const kept = names.map((name) => readFileSync(name, 'latin1')).join('')
  t.ok(kept.includes('alice'))
  t.notOk(kept.includes(PASSWORD))
  t.notOk(kept.includes(token.slice(4)))
})

t.test('users are listed as people named them', async (t) => {
  const clock = virtualClock()
  const store = openStore(t, newFile(t), clock)
  await store.addUser('bob', PASSWORD, { scopes: [] })
  await store.addUser('Alice', PASSWORD, { role: 'admin', scopes: ['b', 'a', 'b'] })
  store.setEnabled('BOB', false)
  const createdAt = clock.now()
  t.same(store.listUsers(), [
    { id: '2', username: 'Alice', enabled: true, role: 'admin', scopes: ['b', 'a'], createdAt },
    { id: '1', username: 'bob', enabled: false, role: undefined, scopes: [], createdAt },
  ])
})

t.test('an id is never given twice', async (t) => {
  const store = openStore(t, newFile(t))
  await store.addUser('alice', PASSWORD, { scopes: [] })
  store.removeUser('alice')
  await store.addUser('bob', PASSWORD, { scopes: [] })
  t.equal(store.listUsers()[0]?.id, '2')
})

t.test('tokens are listed without themselves, by user', async (t) => {
  const clock = virtualClock()
  const store = openStore(t, newFile(t), clock)
  await store.addUser('alice', PASSWORD, { scopes: ['a', 'b'] })
  await store.addUser('bob', PASSWORD, { scopes: [] })
  store.addToken('alice', 'phone', { scopes: ['b'], expiresAt: clock.now() + 1 })
  store.addToken('bob', 'feed')
  const [phone, feed] = store.listTokens()
  t.same(phone, {
    id: '1',
    username: 'alice',
    name: 'phone',
    scopes: ['b'],
    expiresAt: clock.now() + 1,
    createdAt: clock.now(),
  })
  t.same(store.listTokens('BOB'), [feed])
  store.revokeToken('1')
  t.same(store.listTokens(), [feed])
})

t.test('what cannot be is refused with a sentence', async (t) => {
  const store = openStore(t, newFile(t))
  await store.addUser('alice', PASSWORD, { scopes: ['notes.read'] })
  const rejects = (work: Promise<void>, message: RegExp): Promise<unknown> =>
    t.rejects(work, { code: 'usage', message })
  await rejects(store.addUser('ALICE', PASSWORD, { scopes: [] }), /a user 'ALICE' already/)
  for (const name of ['', 'a b', 'jörg', 'a:b', 'x'.repeat(65)])
    await rejects(store.addUser(name, PASSWORD, { scopes: [] }), /cannot be a name/)
  await rejects(store.addUser('bob', PASSWORD, { scopes: ['a b'] }), /cannot be a scope/)
  await rejects(store.addUser('bob', PASSWORD, { role: 'a\nb', scopes: [] }), /role/)
  await rejects(store.addUser('bob', '1234567', { scopes: [] }), /at least 8 characters/)
  await rejects(store.addUser('bob', 'é'.repeat(37), { scopes: [] }), /at most 72 bytes/)
  await rejects(store.setPassword('alice', 'pass\tword'), /control characters/)
  await rejects(store.setPassword('bob', PASSWORD), /no user 'bob'/)
  const throws = (work: () => unknown, message: RegExp): void =>
    void t.throws(work, { code: 'usage', message })
  throws(() => store.setEnabled('bob', false), /no user 'bob'/)
  throws(() => store.removeUser('bob'), /no user 'bob'/)
  throws(() => store.addToken('bob', 'x'), /no user 'bob'/)
  throws(() => store.addToken('alice', ''), /name of a token/)
  throws(
    () => store.addToken('alice', 'x', { scopes: ['notes.read', 'notes.write'] }),
    /have notes.write to give/,
  )
  throws(() => store.addToken('alice', 'x', { expiresAt: virtualClock().now() }), /expired already/)
  for (const id of ['7', 'x', '', '1e3', '9'.repeat(30)])
    throws(() => store.revokeToken(id), /There is no token/)
  t.equal(store.listUsers().length, 1)
})

t.test('the longest password counts to its last byte', async (t) => {
  const store = openStore(t, newFile(t))
  await store.addUser('alice', 'é'.repeat(36), { scopes: [] })
  t.equal(store.listUsers().length, 1)
})

t.test('a file that cannot be used stops the start, and says why', (t) => {
  const file = newFile(t)
  mkdirSync(dirname(file))
  writeFileSync(file, 'this is no database, however long the text is that stands in it'.repeat(20))
  t.throws(() => openDatabase(file), {
    code: 'config_invalid',
    message: /standalone\.database: .*not a database/,
  })
  t.throws(() => openDatabase(dirname(file)), { code: 'config_invalid' })
  t.end()
})

t.test('a file of a newer version is left alone', (t) => {
  const file = newFile(t)
  openDatabase(file).close()
  const db = new DatabaseSync(file)
  db.exec('pragma user_version = 99')
  db.close()
  t.throws(() => openDatabase(file), { code: 'config_invalid', message: /newer Postern/ })
  t.end()
})

t.test('sources answer for many keys at once, and for what cannot be a name not at all', async (t) => {
  const file = newFile(t)
  const store = openStore(t, file)
  await store.addUser('alice', PASSWORD, { role: 'editor', scopes: ['b', 'a'] })
  await store.addUser('bob', PASSWORD, { scopes: [] })
  const db = openDatabase(file)
  t.teardown(() => db.close())
  const { users, names, tokens } = standaloneSources(db)
  const none = new Map()
  const found = await users.load(['1', '2', '3', 'x'], none)
  t.same([...found.keys()], ['1', '2'])
  t.match(found.get('1'), { username: 'alice', role: 'editor', enabled: true, scopes: { names: ['b', 'a'] } })
  t.ok(Object.isFrozen(found.get('1')))
  const asked = await names.load(['Alice', 'ALICE', 'bob', 'carol', 'bob\0', "' or 1=1 --"], none)
  t.same([...asked.keys()].sort(), ['ALICE', 'Alice', 'bob'])
  t.same(await tokens.load(['', 'none'], none), new Map())
  t.equal((await users.load([...Array(2_000).keys()].map(String), none)).size, 2)
})

t.test('other processes write while one reads, and all may come upon a file that is not there', async (t) => {
  const file = newFile(t)
  const writes = `
    const { StandaloneStore } = await import(${JSON.stringify(STORE)})
    const store = new StandaloneStore({ file: ${JSON.stringify(file)}, tokenPrefix: 'pst_', clock: Date })
    await store.addUser('user' + process.pid, 'correct horse', { scopes: ['a'] })
    for (let i = 0; i < 50; i++) store.addToken('user' + process.pid, 'token ' + i)
    store.close()`
  const writers = [1, 2, 3].map(() =>
    spawn(process.execPath, ['--input-type=module', '--eval', writes], {
      stdio: ['ignore', 'inherit', 'inherit'],
    }),
  )
  const ends = writers.map((writer) => once(writer, 'exit'))
  const db = openDatabase(file)
  t.teardown(() => db.close())
  const { users } = standaloneSources(db)
  while (writers.some((writer) => writer.exitCode === null && writer.signalCode === null)) {
    await users.load(['1', '2', '3'], new Map())
    await new Promise(setImmediate)
  }
  t.same(await Promise.all(ends), [
    [0, null],
    [0, null],
    [0, null],
  ])
  t.equal(openStore(t, file).listTokens().length, 150)
})
