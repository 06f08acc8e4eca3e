package identity

// Load reads an identity file.
func Load(path, passphrase string) (*Identity, error) { return nil, ErrDamaged }

// Save writes the identity file.
func (id *Identity) Save(path, passphrase string) error { return ErrDamaged }
