package store

import (
	"context"
	"time"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

var _ authcore.DeviceGrantStore = (*DB)(nil)

const deviceGrantColumns = "device, service_id, scopes, resources, address, agent, status, user_id, session_id, created_at, expires_at"

func scanDeviceGrant(row scanner, d *authcore.DeviceGrant) error {
	var device, scopes, resources string
	var created, expires int64
	err := row.Scan(&device, (*string)(&d.Service), &scopes, &resources, &d.Address, &d.Agent, (*string)(&d.Status), (*string)(&d.User), (*string)(&d.Session), &created, &expires)
	d.Device, d.Scopes, d.Resources = hashOf(device), fields(scopes), fields(resources)
	d.CreatedAt, d.ExpiresAt = fromMicros(created), fromMicros(expires)
	return err
}

// AddDeviceGrants implements authcore.DeviceGrantStore. A power cut may take the last of them:
// those devices ask again.
func (db *DB) AddDeviceGrants(ctx context.Context, all []authcore.DeviceGrant) error {
	args := make([]any, 0, 12*len(all)) // user_code is not used since schema 23; older nodes still write it
	for i := range all {
		d := &all[i]
		args = append(args, "", d.Device.Hex(), string(d.Service), words(d.Scopes), words(d.Resources), d.Address, d.Agent, string(d.Status), string(d.User), string(d.Session),
			micros(d.CreatedAt), micros(d.ExpiresAt))
	}
	return db.command(ctx, quick, func(tx *tx) error {
		return tx.inserts("INSERT INTO device_grants (user_code, "+deviceGrantColumns+") VALUES ", 12, args)
	})
}

// WaitingDevice implements authcore.DeviceGrantStore.
func (db *DB) WaitingDevice(ctx context.Context, first, last authcore.TokenHash, now time.Time) (authcore.DeviceGrant, error) {
	found, err := collect(db, ctx, scanDeviceGrant, "SELECT "+deviceGrantColumns+" FROM device_grants WHERE device BETWEEN ? AND ? AND status = ? AND expires_at > ? LIMIT 2",
		first.Hex(), last.Hex(), authcore.DeviceWaiting, micros(now))
	if err == nil && len(found) != 1 {
		err = authcore.ErrUserCodeInvalid
	}
	if err != nil {
		return authcore.DeviceGrant{}, err
	}
	return found[0], nil
}

// DeviceGrantsByCode implements authcore.DeviceGrantStore. Statements are kept for a few
// numbers of devices; the last one stands for those that are missing.
func (db *DB) DeviceGrantsByCode(ctx context.Context, devices []authcore.TokenHash) ([]authcore.DeviceGrant, error) {
	if len(devices) == 0 {
		return nil, nil
	}
	size := 1
	for size < len(devices) {
		size *= 4
	}
	keys := make([]any, size)
	for i := range keys {
		keys[i] = devices[min(i, len(devices)-1)].Hex()
	}
	return collect(db, ctx, scanDeviceGrant, "SELECT "+deviceGrantColumns+" FROM device_grants WHERE device IN "+marks(size), keys...)
}

// ApproveDevice implements authcore.DeviceGrantStore.
func (db *DB) ApproveDevice(ctx context.Context, device authcore.TokenHash, user authcore.UserID, session *authcore.ServiceSession, ev authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		var s authcore.ServiceSession // of the command line: none
		if session == nil {
			if err := db.lockPerson(tx, user); err != nil {
				return err
			}
		} else {
			s = *session
			s.User = user
			if err := db.beginServiceSession(tx, s); err != nil {
				return err
			}
		}
		return answerDevice(tx, device, ev, "UPDATE device_grants SET status = ?, user_id = ?, session_id = ? WHERE device = ? AND service_id = ? AND status = ? AND expires_at > ?",
			authcore.DeviceApproved, user, s.ID, device.Hex(), s.Service, authcore.DeviceWaiting, micros(ev.Time))
	})
}

// DenyDevice implements authcore.DeviceGrantStore.
func (db *DB) DenyDevice(ctx context.Context, device authcore.TokenHash, ev authcore.Event) error {
	return db.command(ctx, quick, func(tx *tx) error {
		return answerDevice(tx, device, ev, "UPDATE device_grants SET status = ? WHERE device = ? AND status = ? AND expires_at > ?",
			authcore.DeviceDenied, device.Hex(), authcore.DeviceWaiting, micros(ev.Time))
	})
}

// answerDevice carries out a statement that changes a device grant which waits, and writes
// the change and the event.
func answerDevice(tx *tx, device authcore.TokenHash, ev authcore.Event, query string, args ...any) error {
	ok, err := affected(tx.exec(query, args...))
	if err == nil && !ok {
		err = authcore.ErrUserCodeInvalid
	}
	if err != nil {
		return err
	}
	return note(tx, authcore.ChangeDevice, authcore.DeviceKeyOf(device).String(), ev)
}

// useDeviceGrant uses an approved device grant up.
const useDeviceGrant = "UPDATE device_grants SET status = ? WHERE device = ? AND status = ? AND expires_at > ?"

// RedeemDevice implements authcore.DeviceGrantStore.
func (db *DB) RedeemDevice(ctx context.Context, device authcore.TokenHash, until time.Time, keyHash string, refresh *authcore.RefreshToken, access *authcore.GrantToken, replay authcore.Event) error {
	return db.redeemOnce(ctx, redeemed{
		session: "SELECT session_id FROM device_grants WHERE device = ? AND session_id <> ''",
		use:     useDeviceGrant,
		args:    []any{authcore.DeviceUsed, device.Hex(), authcore.DeviceApproved, micros(replay.Time)},
		used:    "SELECT 1 FROM device_grants WHERE device = ? AND status = '" + string(authcore.DeviceUsed) + "'",
		key:     device,
	}, until, keyHash, refresh, access, replay)
}

// RedeemCommandLine implements authcore.DeviceGrantStore.
func (db *DB) RedeemCommandLine(ctx context.Context, device authcore.TokenHash, t authcore.AccessToken, hash authcore.TokenHash, ev authcore.Event, mail ...authcore.Post) error {
	return db.command(ctx, durable, func(tx *tx) error {
		if err := db.lockUser(tx, t.UserID); err != nil {
			return err
		}
		ok, err := affected(tx.exec(useDeviceGrant+" AND service_id = '' AND user_id = ?",
			authcore.DeviceUsed, device.Hex(), authcore.DeviceApproved, micros(ev.Time), t.UserID))
		if err == nil && !ok {
			err = authcore.ErrGrantUsed
		}
		if err != nil {
			return err
		}
		if err := insertAccessToken(tx, t, hash); err != nil {
			return err
		}
		if err := post(tx, mail); err != nil {
			return err
		}
		return insertEvents(tx, ev)
	})
}
