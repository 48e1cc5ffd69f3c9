/** What an app sends with every request, besides its credential. */
export const APP: Readonly<Record<string, string>> = {
  Accept: 'application/json',
  'Accept-Encoding': 'gzip, deflate, br',
  'Accept-Language': 'en-GB,en;q=0.9',
  'Cache-Control': 'no-cache',
  'User-Agent': 'postern-bench/1 (linux; x64)',
  'X-Client-Version': '1.2.3',
}
