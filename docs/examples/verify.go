package postern

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Identity is who is asking.
type Identity struct {
	Subject  string  `json:"sub"`
	Username string  `json:"preferred_username"`
	Role     string  `json:"role"`
	Scope    *string `json:"scope"` // nil: Postern does not know; empty: the credential has none
}

// Verifier checks assertions. Fill in the first four fields and keep one for the whole process.
type Verifier struct {
	JWKS       string                    // address of Postern's /.well-known/postern/jwks.json
	Issuer     string                    // assertion.issuer of Postern's configuration
	Audience   string                    // assertion.audience of it: this backend
	Algorithms []jose.SignatureAlgorithm // what Postern signs with, and nothing else

	mutex     sync.Mutex
	keys      jose.JSONWebKeySet
	fetchedAt time.Time
}

// Verify takes the header's value; any error means that nobody is known to ask.
func (v *Verifier) Verify(assertion string) (*Identity, error) {
	token, err := jwt.ParseSigned(assertion, v.Algorithms)
	if err != nil {
		return nil, err
	}
	if len(token.Headers) != 1 || token.Headers[0].ExtraHeaders[jose.HeaderType] != "postern+jwt" {
		return nil, errors.New("this is no assertion of Postern")
	}
	key, err := v.key(token.Headers[0].KeyID)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != token.Headers[0].Algorithm {
		return nil, errors.New("the key is for another algorithm")
	}
	var claims jwt.Claims
	var identity Identity
	if err := token.Claims(key, &claims, &identity); err != nil {
		return nil, err
	}
	// go-jose takes a missing exp for "never".
	if claims.Expiry == nil || claims.IssuedAt == nil || claims.Subject == "" {
		return nil, errors.New("a claim is missing")
	}
	expected := jwt.Expected{Issuer: v.Issuer, AnyAudience: jwt.Audience{v.Audience}, Time: time.Now()}
	if err := claims.ValidateWithLeeway(expected, 5*time.Second); err != nil {
		return nil, err
	}
	return &identity, nil
}

// key fetches the set every five minutes, and, at most every ten seconds, for a kid that is not in it.
func (v *Verifier) key(kid string) (*jose.JSONWebKey, error) {
	if kid == "" {
		return nil, errors.New("the assertion names no key")
	}
	v.mutex.Lock()
	defer v.mutex.Unlock()
	age := time.Since(v.fetchedAt)
	if age > 5*time.Minute || (len(v.keys.Key(kid)) == 0 && age > 10*time.Second) {
		if err := v.fetch(); err != nil {
			return nil, err
		}
	}
	if found := v.keys.Key(kid); len(found) == 1 {
		return &found[0], nil
	}
	return nil, fmt.Errorf("key %q is not known", kid)
}

func (v *Verifier) fetch() error {
	client := http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(v.JWKS)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the keys could not be fetched: %s", response.Status)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&keys); err != nil {
		return err
	}
	v.keys, v.fetchedAt = keys, time.Now()
	return nil
}
