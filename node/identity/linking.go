package identity

import "time"

// DeviceRequest returns the text that asks an account to take in this device.
func (id *Identity) DeviceRequest() (string, error) { return "", ErrNotLinked }

// Approve certifies the device that made the request and returns the text for it.
func (id *Identity) Approve(request string, now time.Time) (grant string, cert Certificate, err error) {
	return "", Certificate{}, ErrBadRequest
}

// Adopt takes the certificate and the link secret from a grant made by Approve.
func (id *Identity) Adopt(grant string, now time.Time) error { return ErrBadGrant }
