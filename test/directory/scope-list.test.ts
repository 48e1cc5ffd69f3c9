import t from 'tap'
import { scopeList } from '../../src/directory/scope-list.ts'

t.test('white space of every kind and length separates names', async (t) => {
  t.same(scopeList(' me.read  roms.read\troms.write\n'), ['me.read', 'roms.read', 'roms.write'])
  t.same(scopeList(' '), [])
})

t.test('the same text gives the same list, which nobody can change', async (t) => {
  const list = scopeList('me.read roms.read')
  t.equal(scopeList(['me.read', 'roms.read'].join(' ')), list)
  t.ok(Object.isFrozen(list))
  t.not(scopeList('roms.read me.read'), list, 'the order is the source’s')
})
