import t from 'tap'
import { standaloneCarrier } from '../../src/profiles/standalone/credentials.ts'
import { basic } from '../support/standalone.ts'

const carrier = standaloneCarrier('pst_')
const TOKEN = `pst_${'0123456789abcdef'.repeat(4)}`

function read(...headers: string[]): unknown {
  const presented = carrier.read(headers)
  return presented === 'several' ? presented : presented.explicit
}

t.test('Basic is read as RFC 7617 writes it, in UTF-8', (t) => {
  const expected = { kind: 'basic', username: 'jörg', password: 'grüße: 10 €' }
  t.same(read('Authorization', basic('jörg', 'grüße: 10 €')), expected, 'the first colon ends the name')
  t.same(read('authorization', basic('jörg', 'grüße: 10 €').replace('Basic ', 'bAsIc  ')), expected)
  t.same(
    read('Authorization', basic('a', 'e\u0301'.repeat(8))),
    read('Authorization', basic('a', 'é'.repeat(8))),
  )
  t.same(read('Authorization', basic('', '')), { kind: 'basic', username: '', password: '' })
  t.same(read('Authorization', basic('\ufeffa', '\ufeffx')), {
    kind: 'basic',
    username: '\ufeffa',
    password: '\ufeffx',
  })
  t.end()
})

t.test('a token is read from Bearer, and from the password of Basic with its name', (t) => {
  t.same(read('Authorization', `Bearer ${TOKEN}`), { kind: 'token', token: TOKEN })
  t.same(read('Authorization', `bearer ${TOKEN}`), { kind: 'token', token: TOKEN })
  t.same(read('Authorization', basic('alice', TOKEN)), { kind: 'token', token: TOKEN, ownerName: 'alice' })
  t.end()
})

t.test('what means to be a credential and cannot be one is malformed', (t) => {
  const wrong = [
    'Basic',
    'Basic ',
    'Digest username="alice"',
    'Negotiate abc',
    `Bearer ${TOKEN} ${TOKEN}`,
    `Bearer ${TOKEN.toUpperCase()}`,
    `Bearer ${TOKEN}0`,
    `Bearer rmm_${TOKEN.slice(4)}`,
    'Bearer aaaa.bbbb.cccc',
    `Bearer\t${TOKEN}`,
    `Bearer, ${TOKEN}`,
    ` Bearer ${TOKEN}`,
    TOKEN,
    'Basic !!!!',
    // No colon; without padding; bits beyond the last byte; URL-safe; not UTF-8; a control character.
    `Basic ${Buffer.from('alice').toString('base64')}`,
    'Basic YTpiYg',
    'Basic YTpiYh==',
    `Basic ${Buffer.from('a:\u00ff\u00fe>>>').toString('base64url')}`,
    `Basic ${Buffer.from([0x61, 0x3a, 0xff]).toString('base64')}`,
    basic('alice', 'pass\u0000word'),
    basic('alice\r', 'password'),
    basic('alice', 'x'.repeat(73)),
  ]
  for (const header of wrong)
    t.match(read('Authorization', header), { kind: 'malformed' }, JSON.stringify(header))
  t.end()
})

t.test('nothing is nothing, and two are too many', (t) => {
  t.equal(read('Accept', '*/*', 'Cookie', 'postern_session=x'), undefined)
  t.equal(read('Authorization', ''), undefined)
  t.equal(read('Authorization', `Bearer ${TOKEN}`, 'AUTHORIZATION', `Bearer ${TOKEN}`), 'several')
  t.end()
})

t.test('one credential leaves, in its plain form, and cookies as they came', (t) => {
  const headers = ['Cookie', 'a=1', 'AuThOrIzAtIoN', 'bearer   x', 'Accept', '*/*', 'Cookie', 'b="2"']
  const others = ['Cookie', 'a=1', 'Accept', '*/*', 'Cookie', 'b="2"']
  t.same(carrier.rewrite(headers, undefined), others)
  t.same(carrier.rewrite(headers, { kind: 'malformed', why: '' }), others)
  t.same(carrier.rewrite(headers, { kind: 'token', token: TOKEN, ownerName: 'alice' }), [
    ...others,
    'Authorization',
    `Bearer ${TOKEN}`,
  ])
  t.same(carrier.rewrite(headers, { kind: 'basic', username: 'jörg', password: 'grüße' }), [
    ...others,
    'Authorization',
    basic('jörg', 'grüße'),
  ])
  t.end()
})
