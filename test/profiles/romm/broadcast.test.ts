import t from 'tap'
import { changesOf } from '../../../src/profiles/romm/broadcast.ts'

const said = (data: unknown): string =>
  JSON.stringify({ method: 'emit', event: 'permissions:changed', data, namespace: '/' })

t.test('whose permissions changed is read as RomM says it, and is everybody where it does not say', (t) => {
  t.same(changesOf(said([{ user_id: 7 }])), [{ kind: 'user', id: '7' }])
  t.same(changesOf(said({ user_id: 7 })), [{ kind: 'user', id: '7' }])
  t.same(changesOf(said([{ user_id: 7 }, { user_id: 8 }])), [
    { kind: 'user', id: '7' },
    { kind: 'user', id: '8' },
  ])
  for (const text of [
    said([]),
    said(null),
    said([{ user_id: '7' }]),
    'permissions:changed',
    '7',
    'null',
    '{}',
  ]) {
    t.same(changesOf(text), [{ kind: 'everybody' }], text)
  }
  t.end()
})
