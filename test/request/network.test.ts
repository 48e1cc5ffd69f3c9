import t from 'tap'
import { networkOf, plainAddress } from '../../src/request/network.ts'

t.test('whoever has one IPv6 address has 2^64 of them, so they count as one client', async (t) => {
  for (const [address, network] of [
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:1::5:6', '2001:db8:1:0::/64'],
    ['2001:db8:1:2:3::192.0.2.1', '2001:db8:1:2::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['', ''],
  ] as const) {
    t.equal(networkOf(address), network, address)
  }
})

t.test('IPv4 through an IPv6 socket is IPv4, or every such client would be one', async (t) => {
  t.equal(networkOf(plainAddress('::ffff:192.0.2.1')), '192.0.2.1')
  t.equal(plainAddress('2001:db8::1'), '2001:db8::1')
})
