package postern

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// ErrKeys means that the keys could not be fetched, which says nothing about the assertion.
var ErrKeys = errors.New("the keys of Postern could not be fetched")

// Identity is who is asking.
type Identity struct {
	Subject  string  `json:"sub"`
	Username string  `json:"preferred_username"`
	Role     string  `json:"role"`
	Scope    *string `json:"scope"` // nil: Postern does not know; empty: the credential has none
}

// Verifier checks assertions signed with EdDSA. Fill in the first three fields and keep one for the whole process.
type Verifier struct {
	JWKS     string // address of Postern's /.well-known/postern/jwks.json
	Issuer   string // assertion.issuer of Postern's configuration
	Audience string // assertion.audience of it: this backend

	mutex     sync.Mutex
	keys      map[string]ed25519.PublicKey
	fetchedAt time.Time
}

const leeway = 5 * time.Second

// Verify takes the header's value; any error but ErrKeys means that it is not good.
func (v *Verifier) Verify(assertion string) (*Identity, error) {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return nil, errors.New("this is no JWS in compact form")
	}
	var header struct {
		Alg, Typ, Kid string
		Crit          []string
	}
	if err := decode(parts[0], &header); err != nil {
		return nil, err
	}
	if header.Alg != "EdDSA" || header.Typ != "postern+jwt" || header.Crit != nil {
		return nil, errors.New("this is no assertion of Postern")
	}
	key, err := v.key(header.Kid)
	if err != nil {
		return nil, err
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), signature) {
		return nil, errors.New("the signature is not good")
	}
	return v.claims(parts[1])
}

// claims reads what is signed.
func (v *Verifier) claims(payload string) (*Identity, error) {
	var claims struct {
		Identity
		Iss, Aud string
		Iat, Exp *int64
	}
	if err := decode(payload, &claims); err != nil {
		return nil, err
	}
	if claims.Iss != v.Issuer || claims.Aud != v.Audience {
		return nil, errors.New("this is for somebody else")
	}
	if claims.Exp == nil || claims.Iat == nil || claims.Subject == "" {
		return nil, errors.New("a claim is missing")
	}
	if time.Now().Add(-leeway).Unix() >= *claims.Exp {
		return nil, errors.New("it has expired")
	}
	return &claims.Identity, nil
}

// key fetches the set every five minutes, and, at most every ten seconds, for a kid that is not in it.
func (v *Verifier) key(kid string) (ed25519.PublicKey, error) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	age := time.Since(v.fetchedAt)
	if age > 5*time.Minute || (v.keys[kid] == nil && age > 10*time.Second) {
		keys, err := fetch(v.JWKS)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrKeys, err)
		}
		v.keys, v.fetchedAt = keys, time.Now()
	}
	if key := v.keys[kid]; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("key %q is not known", kid)
}

func fetch(address string) (map[string]ed25519.PublicKey, error) {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(address)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	var set struct {
		Keys []struct{ Kid, Crv, X string }
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, err
	}
	keys := map[string]ed25519.PublicKey{}
	for _, key := range set.Keys {
		x, err := base64.RawURLEncoding.DecodeString(key.X)
		if err == nil && key.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize {
			keys[key.Kid] = x
		}
	}
	return keys, nil
}

// decode reads a part of the token: JSON in URL-safe Base64 without padding.
func decode(part string, into any) error {
	text, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
