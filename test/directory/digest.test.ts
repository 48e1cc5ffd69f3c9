import * as fc from 'fast-check'
import t from 'tap'
import { createSecretDigest } from '../../src/directory/digest.ts'

const part = fc.string({ unit: fc.constantFrom('a', 'b', '0', '1', '3', ':', 'é'), maxLength: 4 })
const parts = fc.array(part, { maxLength: 3 })

t.test('parts share a digest with the same parts alone (CVE-2026-71326)', async (t) => {
  const digestOf = createSecretDigest()
  t.equal(digestOf('vera', 'pass'), digestOf('vera', 'pass'))
  t.not(digestOf('vera', 'pass'), digestOf('verap', 'ass'))
  t.not(digestOf('1:a', 'b'), digestOf('1', 'a1:b'))
  const property = fc.property(parts, parts, (one, other) => {
    const areSame = one.length === other.length && one.every((text, i) => text === other[i])
    return (digestOf(...one) === digestOf(...other)) === areSame
  })
  fc.assert(property, { numRuns: 2_000 })
})

t.test('each secret has digests of its own', async (t) => {
  t.not(createSecretDigest()('vera', 'pass'), createSecretDigest()('vera', 'pass'))
})
