import { generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import type { SigningKey } from '../../src/assertion/folder.ts'

type Signer = Parameters<SignJWT['sign']>[0]

export interface Forgeries {
  /** As Postern would sign it. */
  readonly good: string
  /** Each differs from it in one thing, by what that is. */
  readonly bad: Readonly<Record<string, string>>
}

/** What somebody might send to a backend instead of what Postern sends, `key` being Postern's own. */
export async function forgeries(
  { kid, privateKey, publicJwk }: Pick<SigningKey, 'kid' | 'privateKey' | 'publicJwk'>,
  { issuer, audience }: { readonly issuer: string; readonly audience: string },
): Promise<Forgeries> {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: issuer,
    aud: audience,
    sub: '7',
    preferred_username: 'ada',
    iat: now,
    exp: now + 60,
  }
  const header = { alg: 'EdDSA', kid, typ: 'postern+jwt' }
  const forged = (changes: object, headerChanges: object = {}, key: Signer = privateKey): Promise<string> =>
    new SignJWT({ ...claims, ...changes }).setProtectedHeader({ ...header, ...headerChanges }).sign(key)
  const other = await generateKeyPair('EdDSA')
  const bad = {
    issuer: await forged({ iss: 'https://other.example' }),
    audience: await forged({ aud: 'other' }),
    expired: await forged({ exp: now - 60 }),
    'without exp': await forged({ exp: undefined }),
    'without sub': await forged({ sub: undefined }),
    typ: await forged({}, { typ: 'JWT' }),
    'without typ': await forged({}, { typ: undefined }),
    kid: await forged({}, { kid: 'other' }),
    'without kid': await forged({}, { kid: undefined }),
    'another key': await forged({}, {}, other.privateKey),
    'another algorithm': await forged({}, { alg: 'ES256' }, (await generateKeyPair('ES256')).privateKey),
    'the public key as secret': await forged({}, { alg: 'HS256' }, Buffer.from(JSON.stringify(publicJwk))),
    unsigned: new UnsecuredJWT(claims).encode(),
    'unsigned, with all else as it should be': unsigned({ ...header, alg: 'none' }, claims),
    'two parts': (await forged({})).split('.').slice(0, 2).join('.'),
    empty: '',
  }
  return { good: await forged({}), bad }
}

function unsigned(header: object, claims: object): string {
  return [header, claims]
    .map((part) => `${Buffer.from(JSON.stringify(part)).toString('base64url')}.`)
    .join('')
}
