module hpkego

go 1.26
