/** What an app sends with every request. */
export const HEADERS: Readonly<Record<string, string>> = {
  Accept: 'application/json',
  'Accept-Encoding': 'gzip, deflate, br',
  'Accept-Language': 'en-GB,en;q=0.9',
  Authorization: `Bearer rmm_${'0123456789abcdef'.repeat(4)}`,
  'Cache-Control': 'no-cache',
  'User-Agent': 'postern-bench/1 (linux; x64)',
  'X-Client-Version': '1.2.3',
}
