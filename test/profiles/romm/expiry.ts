/** Run in a process of its own, whose time zone is another: prints when a token expires. */
import { openDatabase, type DatabaseAddress } from '../../../src/profiles/romm/database.ts'
import { RommSources } from '../../../src/profiles/romm/sources.ts'
import { behaviourOf } from '../../../src/profiles/romm/version.ts'

// What the test wrote on the command line.
const [address, digest] = JSON.parse(process.argv[2] ?? '') as [DatabaseAddress, string]
const db = openDatabase(address)
const sources = new RommSources({ db, kiosk: false, behaviour: () => behaviourOf('5.2.0') })
const token = (await sources.tokens.load([digest], new Map())).get(digest)
process.stdout.write(String(token?.expiresAt))
await db.destroy()
