// The reference client of SPIFFE against a socket of ours. It does what it is told, and says what it found as lines of JSON.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func say(what string, more map[string]any) {
	line := map[string]any{"what": what}
	for key, value := range more {
		line[key] = value
	}
	text, _ := json.Marshal(line)
	fmt.Println(string(text))
}

func must(err error) {
	if err != nil {
		say("failed", map[string]any{"error": err.Error()})
		os.Exit(1)
	}
}

type watcher struct{}

func (watcher) OnX509ContextUpdate(found *workloadapi.X509Context) {
	svid := found.DefaultSVID()
	leaf := sha256.Sum256(svid.Certificates[0].Raw)
	_, _, err := x509svid.Verify(svid.Certificates, found.Bundles)
	say("x509", map[string]any{
		"id": svid.ID.String(), "hint": svid.Hint, "leaf": hex.EncodeToString(leaf[:]),
		"verified": err == nil, "bundles": found.Bundles.Len(),
	})
}

func (watcher) OnX509ContextWatchError(err error) {
	say("error", map[string]any{"error": err.Error()})
}

// Writes certificate, key and authorities whenever they are new, as helpers of programs without SPIFFE do.
type filer struct{ folder string }

func (f filer) OnX509ContextUpdate(found *workloadapi.X509Context) {
	certificates, key, err := found.DefaultSVID().Marshal()
	must(err)
	bundle, err := found.Bundles.GetX509BundleForTrustDomain(found.DefaultSVID().ID.TrustDomain())
	must(err)
	authorities, err := bundle.Marshal()
	must(err)
	for name, bytes := range map[string][]byte{"svid.pem": certificates, "svid.key": key, "bundle.pem": authorities} {
		path := filepath.Join(f.folder, name)
		must(os.WriteFile(path+".new", bytes, 0o600))
		must(os.Rename(path+".new", path))
	}
	say("written", nil)
}

func (filer) OnX509ContextWatchError(err error) {
	say("error", map[string]any{"error": err.Error()})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 120*time.Second)
	defer cancel()
	switch os.Args[1] {
	case "watch":
		_ = workloadapi.WatchX509Context(ctx, watcher{})
	case "files":
		_ = workloadapi.WatchX509Context(ctx, filer{os.Args[2]})
	case "jwt":
		jwt(ctx)
	case "mtls":
		mtls(ctx)
	case "federation":
		federated(ctx, os.Args[2], os.Args[3])
	}
}

func jwt(ctx context.Context) {
	svid, err := workloadapi.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "db"})
	must(err)
	bundles, err := workloadapi.FetchJWTBundles(ctx)
	must(err)
	_, err = jwtsvid.ParseAndValidate(svid.Marshal(), bundles, []string{"db"})
	must(err)
	_, err = jwtsvid.ParseAndValidate(svid.Marshal(), bundles, []string{"other"})
	again, validated := workloadapi.ValidateJWTSVID(ctx, svid.Marshal(), "db")
	must(validated)
	_, refused := workloadapi.ValidateJWTSVID(ctx, svid.Marshal(), "other")
	say("jwt", map[string]any{
		"id": svid.ID.String(), "other": err != nil, "validated": again.ID.String(), "refused": refused != nil,
		"bundles": bundles.Len(),
	})
}

// A server and a client of mutual TLS, both by the socket, each taking exactly the other's identity.
func mtls(ctx context.Context) {
	source, err := workloadapi.NewX509Source(ctx)
	must(err)
	defer source.Close()
	svid, err := source.GetX509SVID()
	must(err)
	allowed := tlsconfig.AuthorizeID(svid.ID)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", tlsconfig.MTLSServerConfig(source, source, allowed))
	must(err)
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.WriteString(connection, "hello"); _ = connection.Close() }()
		}
	}()
	dial := func(authorizer tlsconfig.Authorizer) (string, error) {
		dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: tlsconfig.MTLSClientConfig(source, source, authorizer)}
		connection, err := dialer.DialContext(ctx, "tcp", listener.Addr().String())
		if err != nil {
			return "", err
		}
		defer connection.Close()
		text, err := io.ReadAll(connection)
		return string(text), err
	}
	said, err := dial(allowed)
	must(err)
	_, refused := dial(tlsconfig.AuthorizeID(spiffeid.RequireFromString("spiffe://example.org/workload/somebody")))
	say("mtls", map[string]any{"said": said, "refused": refused != nil})
}

// Reads the bundle endpoint by the profile https_web, with the authority of our listener as the web's.
func federated(ctx context.Context, url string, caFile string) {
	pem, err := os.ReadFile(caFile)
	must(err)
	domain := spiffeid.RequireTrustDomainFromString("example.org")
	bundle, err := federation.FetchBundle(ctx, domain, url, federation.WithWebPKIRoots(poolOf(pem)))
	must(err)
	sequence, _ := bundle.SequenceNumber()
	hint, _ := bundle.RefreshHint()
	text, err := bundle.Marshal()
	must(err)
	_, err = spiffebundle.Parse(domain, text)
	must(err)
	say("federation", map[string]any{
		"authorities": len(bundle.X509Authorities()), "jwt": len(bundle.JWTAuthorities()), "sequence": sequence, "hint": hint.Seconds(),
	})
}
