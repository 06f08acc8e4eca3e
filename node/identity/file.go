package identity

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	fileVersion = 1
	maxFileSize = 1 << 20
)

// fileBody is the identity file: JSON. A sealed file has only Version and
// Sealed, which is an age file (scrypt recipient) of the same JSON unsealed.
type fileBody struct {
	Version     int      `json:"version"`
	Sealed      []byte   `json:"sealed,omitempty"`
	Name        string   `json:"name,omitempty"`
	DeviceSeed  []byte   `json:"device_seed,omitempty"`
	AccountSeed []byte   `json:"account_seed,omitempty"`
	Certificate []byte   `json:"certificate,omitempty"`
	LinkSecret  []byte   `json:"link_secret,omitempty"`
	LinkVersion uint32   `json:"link_version,omitempty"`
	Devices     [][]byte `json:"devices,omitempty"`
	Revoked     []string `json:"revoked,omitempty"`
}

// Load reads an identity file and changes nothing on disk. A passphrase is
// needed only for a sealed file. Where the account key is at hand and less than
// half of this device's certificate's life remains, the identity returned has a
// fresh certificate. Errors wrap fs.ErrNotExist, fs.ErrPermission, ErrExposed,
// ErrDamaged, ErrNewerVersion, ErrSealed or ErrWrongPassphrase, and say what to
// do next.
func Load(path, passphrase string) (*Identity, error) {
	raw, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	id, err := parseFile(raw, passphrase)
	if err != nil {
		return nil, explain(path, err)
	}
	if id.savedAt, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("find %s: %w", path, err)
	}
	id.renew(time.Now())
	return id, nil
}

// renew replaces this device's certificate in the second half of its life.
func (id *Identity) renew(now time.Time) {
	if id.accountSeed != nil && now.Add(CertificateLife/2).After(id.cert.Expires) {
		id.certifySelf(now)
	}
}

// readPrivate reads a bounded file that only its owner may read or write.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no identity yet: %w; `peerd init` makes one", err)
	}
	if err != nil {
		return nil, fmt.Errorf("read identity: %w; check the owner and mode (0600) of the file and (0700) of its directory", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o: %w; `chmod 600` it", path, mode.Perm(), ErrExposed)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read identity: %w; put the file back from a backup, or choose another --home", err)
	}
	return raw, nil
}

// explain adds path and remedy to an error of parseFile.
func explain(path string, err error) error {
	remedy := "it was left untouched; restore it from a backup, or move it away and bring the account back with the recovery phrase"
	switch {
	case errors.Is(err, ErrNewerVersion):
		remedy = "it was left untouched; update peerd, or choose another --home"
	case errors.Is(err, ErrSealed), errors.Is(err, ErrWrongPassphrase):
		remedy = "set PEERD_PASSPHRASE to the passphrase it was sealed with"
	}
	return fmt.Errorf("%s: %w; %s", path, err, remedy)
}

// parseFile turns the bytes of an identity file into an identity.
func parseFile(raw []byte, passphrase string) (*Identity, error) {
	body, err := decodeBody(raw)
	if err != nil {
		return nil, err
	}
	if body.Sealed != nil {
		if raw, err = unseal(body.Sealed, passphrase); err != nil {
			return nil, err
		}
		if body, err = decodeBody(raw); err != nil {
			return nil, err
		}
	}
	return body.identity()
}

func decodeBody(raw []byte) (fileBody, error) {
	var version struct {
		Version int `json:"version"`
	}
	if len(raw) > maxFileSize {
		return fileBody{}, fmt.Errorf("larger than %d bytes: %w", maxFileSize, ErrDamaged)
	}
	if err := json.Unmarshal(raw, &version); err != nil {
		return fileBody{}, fmt.Errorf("%d bytes: %w: %w", len(raw), err, ErrDamaged)
	}
	if version.Version > fileVersion {
		return fileBody{}, fmt.Errorf("version %d, this peerd knows %d: %w", version.Version, fileVersion, ErrNewerVersion)
	}
	var body fileBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return fileBody{}, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	if body.Version != fileVersion {
		return fileBody{}, fmt.Errorf("version %d: %w", body.Version, ErrDamaged)
	}
	return body, nil
}

// identity checks that the parts fit each other.
func (b fileBody) identity() (*Identity, error) {
	if len(b.DeviceSeed) != ed25519.SeedSize {
		return nil, fmt.Errorf("device key of %d bytes: %w", len(b.DeviceSeed), ErrDamaged)
	}
	if err := CheckName(b.Name); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	id, err := newDevice(b.Name, b.DeviceSeed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	if b.Certificate == nil && b.AccountSeed == nil {
		return id, nil
	}
	if err := b.fillAccount(id); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return id, nil
}

func (b fileBody) fillAccount(id *Identity) error {
	cert, err := ParseCertificate(b.Certificate)
	if err != nil {
		return err
	}
	if err = cert.VerifyFor(id.device, cert.Issued); err != nil {
		return err
	}
	if len(b.LinkSecret) != LinkSecretSize {
		return fmt.Errorf("link secret of %d bytes", len(b.LinkSecret))
	}
	id.account, id.cert = cert.Account, cert
	id.secret, id.linkVersion = [LinkSecretSize]byte(b.LinkSecret), b.LinkVersion
	if b.AccountSeed != nil {
		if len(b.AccountSeed) != ed25519.SeedSize {
			return fmt.Errorf("account key of %d bytes", len(b.AccountSeed))
		}
		id.accountSeed = b.AccountSeed
		if AccountID(id.accountKey().Public().(ed25519.PublicKey)) != cert.Account {
			return errors.New("account key and certificate do not fit")
		}
	}
	if id.devices, err = parseAll(b.Devices, cert.Account); err != nil {
		return err
	}
	id.revoked, err = parseDevices(b.Revoked)
	return err
}

// body needs id.mu.
func (id *Identity) body() fileBody {
	b := fileBody{Version: fileVersion, Name: id.name, DeviceSeed: id.deviceSeed}
	if id.account.IsZero() {
		return b
	}
	b.AccountSeed, b.Certificate = id.accountSeed, id.cert.Marshal()
	b.LinkSecret, b.LinkVersion = id.secret[:], id.linkVersion
	b.Devices, b.Revoked = marshalAll(id.devices), deviceStrings(id.revoked)
	return b
}

// encodeFile returns the bytes of the identity file, sealed unless passphrase
// is empty; it needs id.mu.
func (id *Identity) encodeFile(passphrase string) ([]byte, error) {
	raw, err := json.MarshalIndent(id.body(), "", "  ")
	if err != nil || passphrase == "" {
		return raw, err
	}
	sealed, err := seal(raw, passphrase)
	if err != nil {
		return nil, err
	}
	return json.MarshalIndent(fileBody{Version: fileVersion, Sealed: sealed}, "", "  ")
}

func marshalAll(certs []Certificate) [][]byte {
	out := make([][]byte, len(certs))
	for i, c := range certs {
		out[i] = c.Marshal()
	}
	return out
}

// parseAll reads the certificates of one account and checks their signatures,
// not their lives.
func parseAll(raws [][]byte, account AccountID) ([]Certificate, error) {
	if len(raws) > MaxDevices {
		return nil, fmt.Errorf("%d devices, %d are allowed", len(raws), MaxDevices)
	}
	out := make([]Certificate, 0, len(raws))
	for _, raw := range raws {
		c, err := ParseCertificate(raw)
		if err != nil {
			return nil, err
		}
		if err := c.Verify(c.Issued); err != nil {
			return nil, err
		}
		if c.Account != account {
			return nil, fmt.Errorf("device %s is of account %s: %w", c.Device, c.Account, ErrForeignCertificate)
		}
		out = append(out, c)
	}
	return out, nil
}

func deviceStrings(devices []DeviceID) []string {
	out := make([]string, len(devices))
	for i, d := range devices {
		out[i] = d.String()
	}
	return out
}

func parseDevices(texts []string) ([]DeviceID, error) {
	out := make([]DeviceID, len(texts))
	for i, text := range texts {
		device, err := ParseDevice(text)
		if err != nil {
			return nil, err
		}
		out[i] = device
	}
	return out, nil
}
