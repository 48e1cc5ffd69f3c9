import t from 'tap'
import { formatRows, printRows } from '../../src/routes/print.ts'
import { RouteTable } from '../../src/routes/table.ts'
import { rule } from '../support/routes.ts'

const layers = [
  { rules: [rule('/z', 'closed', { origin: 'operator', conceal: true })] },
  { rules: [rule('/login', 'public', { origin: 'profile', methods: ['POST'], input: ['basic'] })] },
  {
    rules: [
      rule('/a/{x}', 'r w', { methods: ['PUT', 'GET'] }),
      rule('/{y}/b', 'authenticated', { methods: ['GET'], socket: true }),
    ],
  },
]

t.test('rows are listed as layers speak, whatever order the rules came in', async (t) => {
  const rows = printRows(new RouteTable({ layers, protectedPrefixes: [] }).rows)
  const reversed = layers.map((layer) => ({ rules: layer.rules.toReversed() }))
  t.strictSame(printRows(new RouteTable({ layers: reversed, protectedPrefixes: [] }).rows), rows)
  t.equal(
    formatRows(rows),
    [
      'ORIGIN    METHODS  PATH    REQUIRES       OPTIONS',
      'operator  *        /z      closed         conceal',
      'profile   POST     /login  public         input:basic',
      'document  GET      /a/b    r w            shared by /a/{x} and /{y}/b',
      'document  GET,PUT  /a/{x}  r w',
      'document  GET      /{y}/b  authenticated  socket',
      '',
    ].join('\n'),
  )
})

t.test('rows are data for scripts', async (t) => {
  const [first] = printRows(new RouteTable({ layers, protectedPrefixes: [] }).rows)
  t.strictSame(first, {
    origin: 'operator',
    methods: ['*'],
    path: '/z',
    requires: 'closed',
    scopes: [],
    options: ['conceal'],
    shared: [],
  })
})
