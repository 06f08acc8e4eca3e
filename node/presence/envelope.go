package presence

// kind tells the two records apart on the wire.
type kind uint8

const (
	kindAccount  kind = 'a'
	kindPresence kind = 'p'
)

// namespace is the first part of the record's key.
func (k kind) namespace() string {
	if k == kindAccount {
		return AccountNamespace
	}
	return PresenceNamespace
}

// context begins everything hashed, signed or sealed for this kind of record.
func (k kind) context() string {
	if k == kindAccount {
		return "peerd account record 1\x00"
	}
	return "peerd presence record 1\x00"
}
