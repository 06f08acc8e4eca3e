package gate

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func newID(t testing.TB) peer.ID {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func start() time.Time { return time.Unix(1_800_000_000, 0) }

func keys() Keys {
	return Keys{Slots: bytes.Repeat([]byte{1}, 32), Tickets: bytes.Repeat([]byte{2}, 32)}
}

func TestQuestionsSurviveTheWire(t *testing.T) {
	id, ip := newID(t), netip.MustParseAddr("192.0.2.7")
	q := Question{
		Nonce: 1 << 63, From: id, Class: 4, Serves: true, Key: make([]byte, KeyBytes),
		Slot: keys().Slot(id, ip, time.Minute), Ticket: keys().Ticket(id, start()),
	}
	data, err := AppendQuestion(nil, q)
	if err != nil || len(data) != QuestionSize {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	if got, err := ParseQuestion(data); err != nil || !reflect.DeepEqual(got, q) {
		t.Errorf("%+v, %v; want %+v", got, err, q)
	}
	if _, err := ParseQuestion(data[:len(data)-1]); !errors.Is(err, errMessage) {
		t.Errorf("a short question: %v", err)
	}
	q.Slot = []byte{1}
	if _, err := AppendQuestion(nil, q); !errors.Is(err, errMessage) {
		t.Errorf("a slot that is none: %v", err)
	}
}

// withRecord is a question that brings a record with a value of size bytes.
func withRecord(from peer.ID, size int) Question {
	name := "/pp/" + strings.Repeat("a", 52)
	key := sha256.Sum256([]byte(name))
	return Question{
		Nonce: 5, From: from, Class: 2, IfNear: true, Key: key[:],
		Record: &Record{Name: name, Value: bytes.Repeat([]byte{9}, size)},
	}
}

func TestQuestionsWithRecordsSurviveTheWire(t *testing.T) {
	id := newID(t)
	for _, size := range []int{0, 1, 600, MaxValue} {
		q := withRecord(id, size)
		q.Slot, q.Ticket = keys().Slot(id, netip.Addr{}, time.Minute), keys().Ticket(id, start())
		data, err := AppendQuestion(nil, q)
		if err != nil || len(data) < QuestionSize || len(data) > MaxSize {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		if got, err := ParseQuestion(data); err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%+v, %v; want %+v", got, err, q)
		}
		if _, err := ParseQuestion(append(data, make([]byte, MaxSize)...)); !errors.Is(err, errMessage) {
			t.Errorf("one that is too long: %v", err)
		}
	}
	for name, q := range map[string]Question{
		"value too long": withRecord(id, MaxValue+1),
		"no name":        {From: id, Record: &Record{Value: []byte{1}}},
		"name too long":  {From: id, Record: &Record{Name: strings.Repeat("n", MaxName+1)}},
	} {
		if _, err := AppendQuestion(nil, q); !errors.Is(err, errMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadsAreAnsweredWithValues, empty ones and the longest; who asks for what has no
// name is told so, and nobody answers with more than was asked.
func TestReadsAreAnsweredWithValues(t *testing.T) {
	values := map[string][]byte{"none": {}, "short": []byte("value"), "long": bytes.Repeat([]byte{7}, MaxValue)}
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	server := NewPort([]Conn{Packets(conn)}, nil, nil, func(_ netip.AddrPort, name string, later func([]byte)) { go later(values[name]) })
	t.Cleanup(server.Close)
	asker, _ := newPort(t, nil)
	to := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	for name, want := range values {
		if got, err := asker.Read(t.Context(), to, name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := asker.Read(t.Context(), to, ""); !errors.Is(err, errMessage) {
		t.Errorf("no name: %v", err)
	}
	if n := len(valueDatagram(1, values["long"])); n > ReadSize {
		t.Errorf("a value has %d bytes, a read %d", n, ReadSize)
	}
}

// TestARecordIsAnsweredLater: by another goroutine, to the question's nonce.
func TestARecordIsAnsweredLater(t *testing.T) {
	id := newID(t)
	_, server := newPort(t, func(_ netip.AddrPort, q Question, later func(Answer)) (Answer, bool) {
		value := len(q.Record.Value)
		go later(Answer{Come: true, Uptime: time.Duration(value) * time.Second})
		return Answer{}, false
	})
	asker, _ := newPort(t, nil)
	got, err := asker.Ask(t.Context(), server, withRecord(id, 600))
	if err != nil || !got.Come || got.Uptime != 600*time.Second {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAnswersSurviveTheWireAndAreNoLongerThanQuestions(t *testing.T) {
	a := Answer{
		Nonce: 7, Load: 1, Uptime: time.Hour, Wait: time.Minute,
		Slot: keys().Slot(newID(t), netip.Addr{}, time.Minute),
	}
	long := ma.StringCast("/ip6/2001:db8::1/udp/4001/quic-v1")
	for range 2 * MaxReferrals {
		a.Referrals = append(a.Referrals, peer.AddrInfo{ID: newID(t), Addrs: []ma.Multiaddr{long, long, long}})
	}
	data := AppendAnswer(nil, a)
	if len(data) > QuestionSize {
		t.Fatalf("answer of %d bytes", len(data))
	}
	got, err := ParseAnswer(data)
	if err != nil || len(got.Referrals) != MaxReferrals || len(got.Referrals[0].Addrs) != maxReferralAddrs {
		t.Fatalf("%+v, %v", got, err)
	}
	if got.Referrals[7].ID != a.Referrals[7].ID || !got.Referrals[0].Addrs[1].Equal(long) {
		t.Errorf("referrals %v", got.Referrals)
	}
	got.Referrals, a.Referrals = nil, nil
	if !reflect.DeepEqual(got, a) {
		t.Errorf("%+v, want %+v", got, a)
	}
}

func TestTokensAreTheirIssuersAndHoldersOnly(t *testing.T) {
	k, id, ip := keys(), newID(t), netip.MustParseAddr("192.0.2.7")
	slot, ticket := k.Slot(id, ip, time.Minute), k.Ticket(id, start())
	if due := k.SlotDue(slot, id, ip); due != time.Minute {
		t.Errorf("due at %v", due)
	}
	for name, due := range map[string]time.Duration{
		"another asker":   k.SlotDue(slot, newID(t), ip),
		"another address": k.SlotDue(slot, id, netip.MustParseAddr("192.0.2.8")),
		"a ticket":        k.SlotDue(ticket, id, netip.Addr{}),
		"another issuer":  Keys{Slots: k.Tickets}.SlotDue(slot, id, ip),
		"nothing":         k.SlotDue(nil, id, ip),
	} {
		if due != 0 {
			t.Errorf("%s: slot is taken", name)
		}
	}
	if !k.TicketHolds(ticket, id, start().Add(-time.Second)) || k.TicketHolds(ticket, id, start()) ||
		k.TicketHolds(ticket, newID(t), start().Add(-time.Second)) {
		t.Error("a ticket holds for its holder until it expires, and for nobody else")
	}
	changed := bytes.Clone(ticket)
	changed[7] ^= 1 // a later expiry
	if k.TicketHolds(changed, id, start().Add(-time.Second)) {
		t.Error("a changed ticket holds")
	}
}

func at(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
}

func TestAdmittedIsShortAndCounted(t *testing.T) {
	var a Admitted
	now := start()
	a.Add(at(0), 3, now)
	if a.Take(at(0), now.Add(admittedLife)) || a.Take(at(1), now) {
		t.Error("awaited for another time, or somebody else")
	}
	for i := range tries + 1 {
		if a.Take(at(0), now.Add(admittedLife-1)) != (i < tries) {
			t.Errorf("connection %d", i)
		}
	}
	otherPort := netip.AddrPortFrom(at(0).Addr(), 4711)
	if a.Take(otherPort, now) || !a.TakeTCP(otherPort) || a.TakeTCP(otherPort) {
		t.Error("another port is for TCP, and once")
	}
	a.Add(at(1), 4, now)
	if missed := a.Add(at(2), 3, now.Add(time.Hour)); !reflect.DeepEqual(missed, []uint8{4}) {
		t.Errorf("missed %v, want the one that never came", missed)
	}
	if len(a.await) != 1 || len(a.queue) != 1 || len(a.tcp) != 1 {
		t.Errorf("an hour later %d awaited", len(a.await))
	}
}

func TestAdmittedKnowsARepetition(t *testing.T) {
	var a Admitted
	if a.Repeated(at(1), start()) {
		t.Error("nobody was told to come")
	}
	a.Add(at(1), 0, start())
	for i := range maxRepeats {
		if !a.Repeated(at(1), start().Add(time.Second)) {
			t.Errorf("repetition %d is taken for a new question", i)
		}
	}
	if a.Repeated(at(1), start().Add(time.Second)) {
		t.Error("repeated without end")
	}
	a.Add(at(2), 0, start())
	if a.Repeated(at(2), start().Add(repeatedIn+1)) {
		t.Error("too late for a repetition")
	}
	a.Take(at(2), start())
	if a.Repeated(at(2), start()) {
		t.Error("repeated by one who has come")
	}
}

func TestAdmittedIsBounded(t *testing.T) {
	var a Admitted
	for i := range maxAdmitted + 5 {
		a.Add(at(i), 3, start())
	}
	if len(a.await) > maxAdmitted || len(a.queue) > maxAdmitted || len(a.tcp) > maxAdmitted {
		t.Errorf("%d awaited, queue of %d", len(a.await), len(a.queue))
	}
	if a.Take(at(4), start()) || !a.Take(at(maxAdmitted+4), start()) {
		t.Error("the oldest make room")
	}
}

func newPort(t testing.TB, serve Serve) (*Port, netip.AddrPort) {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := NewPort([]Conn{Packets(conn)}, func(*net.UDPAddr) net.Addr { return conn.LocalAddr() }, serve, nil)
	t.Cleanup(p.Close)
	return p, conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestPortAsksAndAnswersOnTheListenersSocket(t *testing.T) {
	id := newID(t)
	from := make(chan netip.AddrPort, 2)
	_, server := newPort(t, func(f netip.AddrPort, q Question, _ func(Answer)) (Answer, bool) {
		from <- f
		return Answer{Come: q.From == id && q.Class == 3, Uptime: time.Second}, !q.Serves
	})
	asker, own := newPort(t, nil)
	got, err := asker.Ask(t.Context(), server, Question{From: id, Class: 3})
	if err != nil || !got.Come || got.Uptime != time.Second {
		t.Errorf("%+v, %v", got, err)
	}
	if f := <-from; f != own {
		t.Errorf("asked from %v, listens on %v", f, own)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := asker.Ask(ctx, server, Question{From: id, Serves: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("no answer: %v", err)
	}
	if len(asker.waiting) != 0 {
		t.Errorf("%d nonces kept", len(asker.waiting))
	}
}

func TestPingTellsOneProcessFromTheNext(t *testing.T) {
	first, firstAddr := newPort(t, nil)
	_, second := newPort(t, nil)
	boots := make(map[uint64]bool)
	for _, addr := range []netip.AddrPort{firstAddr, second, second} {
		boot, err := first.Ping(t.Context(), addr)
		if err != nil || boot == 0 {
			t.Fatalf("%d, %v", boot, err)
		}
		boots[boot] = true
	}
	if len(boots) != 2 {
		t.Errorf("%d processes seen, there are 2", len(boots))
	}
}

func TestPongsTellThatServersCameNear(t *testing.T) {
	asker, _ := newPort(t, nil)
	server, addr := newPort(t, nil)
	ping := func() uint64 {
		t.Helper()
		boot, err := asker.Ping(t.Context(), addr)
		if err != nil {
			t.Fatal(err)
		}
		return boot
	}
	first := ping()
	if same, grown := SameBoot(first, ping()); !same || grown {
		t.Errorf("nobody came: same %v, grown %v", same, grown)
	}
	server.Came()
	if same, grown := SameBoot(first, ping()); !same || !grown {
		t.Errorf("one came: same %v, grown %v", same, grown)
	}
}

func TestPortWithoutASocketSaysSo(t *testing.T) {
	p := NewPort(nil, func(*net.UDPAddr) net.Addr { return nil }, nil, nil)
	defer p.Close()
	if _, err := p.Ask(t.Context(), netip.MustParseAddrPort("127.0.0.1:9"), Question{}); !errors.Is(err, ErrNoSocket) {
		t.Errorf("error is %v, want ErrNoSocket", err)
	}
}

func TestGuardAsksAboutDirectInboundConnectionsOnly(t *testing.T) {
	id := newID(t)
	var asked []string
	g := &Guard{ResourceManager: &network.NullResourceManager{}, Admit: func(from netip.AddrPort, udp bool) bool {
		asked = append(asked, from.String())
		return !udp
	}}
	for _, c := range []struct {
		dir     network.Direction
		addr    string
		refused bool
	}{
		{network.DirInbound, "/ip4/192.0.2.7/udp/5/quic-v1", true},
		{network.DirInbound, "/ip6/2001:db8::1/tcp/6", false},
		{network.DirOutbound, "/ip4/192.0.2.7/udp/5/quic-v1", false},
		{network.DirInbound, "/ip4/192.0.2.7/udp/5/quic-v1/p2p/" + id.String() + "/p2p-circuit", false},
		{network.DirInbound, "/p2p/" + id.String() + "/p2p-circuit", false},
	} {
		_, err := g.OpenConnection(c.dir, false, ma.StringCast(c.addr))
		if errors.Is(err, ErrRefused) != c.refused {
			t.Errorf("%v %s: %v", c.dir, c.addr, err)
		}
	}
	if want := []string{"192.0.2.7:5", "[2001:db8::1]:6"}; !reflect.DeepEqual(asked, want) {
		t.Errorf("asked about %v, want %v", asked, want)
	}
}

func FuzzQuestion(f *testing.F) {
	id := newID(f)
	good, err := AppendQuestion(nil, Question{Nonce: 1, From: id, Class: 2, Ticket: keys().Ticket(id, start())})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:100])
	for _, size := range []int{0, 600, MaxValue} {
		gift, err := AppendQuestion(nil, withRecord(id, size))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(gift)
		f.Add(gift[:len(gift)-1])
	}
	f.Add([]byte{magic, version + 1, kindQuestion})
	f.Add(bytes.Repeat([]byte{magic}, QuestionSize))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := ParseQuestion(data)
		if err != nil {
			return
		}
		again, err := AppendQuestion(nil, q)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseQuestion(again); err != nil || !reflect.DeepEqual(back, q) {
			t.Errorf("%+v became %+v, %v", q, back, err)
		}
	})
}

func FuzzRead(f *testing.F) {
	good, err := appendRead(nil, 7, "/pp/name")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(valueDatagram(7, []byte("value")))
	f.Add(valueDatagram(7, make([]byte, MaxValue)))
	f.Add([]byte{magic, version, kindValue, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		if nonce, name, err := parseRead(data); err == nil {
			again, err := appendRead(nil, nonce, name)
			if n, same, bad := parseRead(again); err != nil || bad != nil || n != nonce || same != name {
				t.Errorf("%q became %q, %v, %v", name, same, err, bad)
			}
		}
		nonce, value, err := parseValue(data)
		if err != nil {
			return
		}
		if out := valueDatagram(nonce, value); !bytes.Equal(out, data) || len(out) > ReadSize {
			t.Errorf("%d bytes became %d", len(data), len(out))
		}
	})
}

func FuzzPing(f *testing.F) {
	f.Add(appendPing(nil, kindPong, 7, 8))
	f.Add(appendPing(nil, kindPing, 7, 0))
	f.Add([]byte{magic, version, kindPong})
	f.Fuzz(func(t *testing.T, data []byte) {
		nonce, boot, err := parsePing(data, kindPong)
		if err == nil && !bytes.Equal(appendPing(nil, kindPong, nonce, boot), data) {
			t.Errorf("%x is read as %d, %d", data, nonce, boot)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	good := AppendAnswer(nil, Answer{
		Nonce: 1, Come: true, Slot: keys().Slot(newID(f), netip.Addr{}, time.Minute),
		Referrals: []peer.AddrInfo{{ID: newID(f), Addrs: []ma.Multiaddr{ma.StringCast("/ip4/192.0.2.7/udp/1/quic-v1")}}},
	})
	f.Add(good)
	f.Add(good[:20])
	f.Add(append(bytes.Clone(good[:51]), 255))
	f.Add([]byte{magic, version, kindQuestion})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseAnswer(data)
		if err != nil {
			return
		}
		if len(a.Referrals) > MaxReferrals || len(AppendAnswer(nil, a)) > QuestionSize {
			t.Errorf("%d referrals", len(a.Referrals))
		}
		for _, r := range a.Referrals {
			if len(r.ID) == 0 || len(r.Addrs) == 0 || len(r.Addrs) > maxReferralAddrs {
				t.Errorf("%+v", r)
			}
		}
	})
}

// FuzzDatagram holds that no datagram whatever has a port answer with more than it got.
func FuzzDatagram(f *testing.F) {
	a := Answer{Slot: keys().Slot(newID(f), netip.Addr{}, time.Minute)}
	for range MaxReferrals {
		a.Referrals = append(a.Referrals, peer.AddrInfo{ID: newID(f), Addrs: []ma.Multiaddr{ma.StringCast("/ip6/2001:db8::1/udp/4001/quic-v1")}})
	}
	p := NewPort(nil, nil, func(netip.AddrPort, Question, func(Answer)) (Answer, bool) { return a, true }, nil)
	f.Cleanup(p.Close)
	question, err := AppendQuestion(nil, Question{Nonce: 1, From: newID(f)})
	if err != nil {
		f.Fatal(err)
	}
	gift, err := AppendQuestion(nil, withRecord(newID(f), 600))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(question)
	f.Add(gift)
	f.Add(appendPing(nil, kindPing, 1, 0))
	f.Add(appendPing(nil, kindPong, 1, 2))
	f.Add(AppendAnswer(nil, Answer{Come: true}))
	f.Add([]byte{magic})
	f.Fuzz(func(t *testing.T, data []byte) {
		if out := p.handle(nil, at(1), data, nil); len(out) > len(data) {
			t.Errorf("%d bytes answer %d", len(out), len(data))
		}
	})
}

// FuzzToken holds that only what a server made holds.
func FuzzToken(f *testing.F) {
	id, ip := newID(f), netip.MustParseAddr("192.0.2.7")
	slot, ticket := keys().Slot(id, ip, time.Minute), keys().Ticket(id, start())
	f.Add(slot[:10])
	f.Add(append(bytes.Clone(slot), 0))
	f.Add(make([]byte, tokenBytes))
	f.Fuzz(func(t *testing.T, data []byte) {
		if due := keys().SlotDue(data, id, ip); due != 0 && !bytes.Equal(data, slot) {
			t.Errorf("%x is taken for a slot", data)
		}
		if keys().TicketHolds(data, id, time.UnixMilli(0)) && !bytes.Equal(data, ticket) {
			t.Errorf("%x is taken for a ticket", data)
		}
	})
}
