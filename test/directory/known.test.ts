import t from 'tap'
import { Known } from '../../src/directory/known.ts'
import { ScopeSet } from '../../src/identity/scope.ts'
import { virtualClock } from '../support/clock.ts'

function stage(first: object): (next: object) => object | undefined {
  const times = { freshFor: 3_000, staleIfError: 0, deadline: 1_000 }
  const known = new Known<object>({ clock: virtualClock(), maxEntries: 10, ...times })
  known.store('k', first, known.asking())
  return (next) => known.store('k', next, known.asking())
}

const record = (): object => ({
  id: '7',
  scopes: ScopeSet.of(['a', 'b']),
  device: undefined,
  of: { name: 'vera' },
})

t.test('an answer that says the same is the same object', async (t) => {
  const first = record()
  t.equal(stage(first)({ ...first }), first)
  t.equal(stage(first)(record()), first, 'however deep it is looked at')
})

t.test('an answer that says anything else is another', async (t) => {
  const first = record()
  const others: object[] = [
    { ...first, id: '8' },
    { ...first, scopes: ScopeSet.of(['a']) },
    { ...first, device: 'd' },
    { ...first, of: { name: 'anna' } },
    { ...first, more: 1 },
    { id: '7' },
  ]
  for (const other of others) t.equal(stage(first)(other), other, JSON.stringify(other))
})
