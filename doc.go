// Package strictmx is the sending side of strict transport security for mail.
package strictmx
