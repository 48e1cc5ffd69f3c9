import { PosternError } from '../../errors.ts'
import { isSound, withField } from '../../request/lines.ts'
import { isNamed, sieve } from '../../request/names.ts'
import type { RawHeaders } from '../../request/request.ts'

/** What a request says of its body: nothing, its length in a header, or that it comes in chunks. */
export type Sent = 'nothing' | 'length' | 'chunks'

const mayTell = sieve(['expect', 'transfer-encoding', 'connection', 'content-length'])
// RFC 9110 §8.6: of these a server expects a body, and is told that there is none.
const EXPECT_BODY: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH'])
/**
 * The head of a request as it goes on the wire, `Expect` aside, which is answered here (RFC 9110 §10.1.1).
 * @throws PosternError `internal` for what would be read otherwise: the attack is a header, or a second request, in the value of
 * another (CWE-93, CWE-444); the client's own were read by a strict parser and cleaned, but ours come from elsewhere
 */
export function requestHead(method: string, target: string, headers: RawHeaders, body: Sent): string {
  let head = `${method} ${target} HTTP/1.1\r\n`
  let lines = 2
  let saysLength = false
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] ?? ''
    if (mayTell(name)) {
      if (isNamed(name, 'expect')) continue
      // Beside ours it would be a second word on where the request ends.
      if (isNamed(name, 'transfer-encoding') || isNamed(name, 'connection')) throw unfit()
      saysLength ||= isNamed(name, 'content-length')
    }
    head = withField(head, name, headers[i + 1] ?? '')
    lines++
  }
  if (saysLength && body === 'chunks') throw unfit()
  if (body === 'chunks') {
    head += 'Transfer-Encoding: chunked\r\n'
    lines++
  } else if (!saysLength && EXPECT_BODY.has(method)) {
    head += 'Content-Length: 0\r\n'
    lines++
  }
  head += 'Connection: keep-alive\r\n\r\n'
  if (target.includes(' ') || !isSound(head, lines + 1)) throw unfit()
  return head
}

function unfit(): PosternError {
  return new PosternError('internal', 'the request would not be read as it is meant')
}
