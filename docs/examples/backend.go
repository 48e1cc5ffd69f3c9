package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"

	"example.org/backend/postern" // verify.go
)

type userKey struct{}

// authenticated stands around the whole server: without a good assertion nothing inside is reached.
func authenticated(verifier *postern.Verifier, inside http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, err := verifier.Verify(r.Header.Get("X-Postern-Assertion"))
		if err != nil {
			// 401 is for what was checked and found bad: apps sign their users out on it.
			status := http.StatusUnauthorized
			if errors.Is(err, postern.ErrKeys) {
				status = http.StatusServiceUnavailable
			}
			http.Error(w, "Who is asking could not be established.", status)
			return
		}
		inside.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}

func whoami(w http.ResponseWriter, r *http.Request) {
	user := r.Context().Value(userKey{}).(*postern.Identity)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"subject": user.Subject, "username": user.Username})
}

func main() {
	verifier := &postern.Verifier{JWKS: os.Getenv("POSTERN_JWKS"), Issuer: "postern", Audience: "backend"}
	routes := http.NewServeMux()
	routes.HandleFunc("/whoami", whoami)
	listener, err := net.Listen("tcp", os.Getenv("HOST")+":"+os.Getenv("PORT"))
	if err != nil {
		log.Fatal(err)
	}
	log.Print("listening ", listener.Addr())
	log.Fatal(http.Serve(listener, authenticated(verifier, routes)))
}
