package engine

import "sync"

// inbox takes news from those who must not wait for the engine. Of each kind of news, only the latest is of interest.
type inbox struct {
	mu   sync.Mutex
	mail mail
	// arrived has something when there is mail.
	arrived chan struct{}
}

// mail is news that the engine hasn't seen yet.
type mail struct {
	rejections []Rejection
	rejected   bool                  // rejections is news, be it empty
	deliveries map[string][]Delivery // by scope
}

func newInbox() *inbox { return &inbox{arrived: make(chan struct{}, 1)} }

// put changes what is in the inbox, and says so.
func (i *inbox) put(change func(*mail)) {
	i.mu.Lock()
	change(&i.mail)
	i.mu.Unlock()
	select {
	case i.arrived <- struct{}{}:
	default: // it is known
	}
}

// empty returns what is in the inbox, and leaves nothing there.
func (i *inbox) empty() mail {
	i.mu.Lock()
	defer i.mu.Unlock()
	m := i.mail
	i.mail = mail{}
	return m
}
