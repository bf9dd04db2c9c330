//go:build linux

package container

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// enter makes the root and goes there. Nothing of the machine's files can be seen from then on but what is mounted.
func (r *Root) enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", r.Base, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, "mode=0755"); err != nil {
		return fmt.Errorf("mounting the root: %w", err)
	}
	for _, make := range []func() error{r.programs, r.systems, r.devices, r.mounts} {
		if err := make(); err != nil {
			return err
		}
	}
	if r.ReadOnly {
		if err := unix.Mount("", r.Base, "", unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID, ""); err != nil {
			return fmt.Errorf("making the root read-only: %w", err)
		}
	}
	if err := unix.Chdir(r.Base); err != nil {
		return err
	}
	// The old root is put over the new one, and taken off.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leaving the old root: %w", err)
	}
	return unix.Chdir("/")
}

// programs shows the machine's programs and libraries.
func (r *Root) programs() error {
	for _, pattern := range []string{"/bin", "/lib*", "/sbin", "/usr"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, path := range paths {
			if target, err := os.Readlink(path); err == nil {
				if err := os.Symlink(target, filepath.Join(r.Base, path)); err != nil {
					return err
				}
				continue
			}
			if info, err := os.Stat(path); err != nil || !info.IsDir() {
				continue // /lib* can be anything
			}
			if err := r.mount(Mount{Source: path, Target: path, ReadOnly: true}); err != nil {
				return err
			}
		}
	}
	return nil
}

// systems mounts what programs expect to find of the kernel, and /tmp.
func (r *Root) systems() error {
	const none = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	for _, m := range []struct {
		path, kind string
		flags      uintptr
		data       string
	}{
		{"/proc", "proc", none, ""},
		{"/dev", "tmpfs", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0755"},
		{"/dev/shm", "tmpfs", none, "mode=1777"},
		{"/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	} {
		target := filepath.Join(r.Base, m.path)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mounting %s: %w", m.path, err)
		}
	}
	return r.mount(Mount{Source: "/sys", Target: "/sys", ReadOnly: true})
}

func (r *Root) devices() error {
	for _, name := range []string{"full", "null", "random", "tty", "urandom", "zero"} {
		path := filepath.Join("/dev", name)
		if err := r.mount(Mount{Source: path, Target: path}); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, filepath.Join(r.Base, "dev", name)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Root) mounts() error {
	for _, m := range r.Mounts {
		if err := r.mount(m); err != nil {
			return err
		}
	}
	return nil
}

// mount shows a file or a folder. What isn't there to be mounted over is made.
func (r *Root) mount(m Mount) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	target := filepath.Join(r.Base, m.Target)
	if err := makePlace(target, info.IsDir()); err != nil {
		return fmt.Errorf("mounting %s: %w", m.Target, err)
	}
	if err := unix.Mount(m.Source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", m.Source, m.Target, err)
	}
	if !m.ReadOnly {
		return nil
	}
	// Flags that the mounted file system has can't be taken from it in a user namespace.
	var fs unix.Statfs_t
	if err := unix.Statfs(target, &fs); err != nil {
		return err
	}
	flags := uintptr(fs.Flags) & (unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME | unix.MS_RELATIME)
	if err := unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, ""); err != nil {
		return fmt.Errorf("mounting %s read-only: %w", m.Target, err)
	}
	return nil
}

func makePlace(path string, folder bool) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if folder {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}
