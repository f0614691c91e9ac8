using FlowMM.Abstractions;
using FsCheck.Xunit;
using Xunit;

namespace FlowMM.UnitTests.Abstractions;

public sealed class PictureDigestTests
{
    [Property]
    public bool MayHold_WhatIsIn_IsAlwaysFound(ulong[] pictures) => pictures.All(p => PictureDigest.MayHold(PictureDigest.Of(pictures), p));

    [Property]
    public bool Unpack_WhatWasPacked_IsTheSame(ulong[] pictures) => PictureDigest.Unpack(PictureDigest.Pack(pictures)).SequenceEqual(pictures);

    [Fact]
    public void MayHold_Of600_FindsFewOthers()
    {
        Random random = new(3);
        byte[] filter = PictureDigest.Of(Enumerable.Range(0, 600).Select(_ => (ulong)random.NextInt64()));
        Assert.InRange(Enumerable.Range(0, 10_000).Count(_ => PictureDigest.MayHold(filter, (ulong)random.NextInt64())), 0, 200);
    }

    [Fact]
    public void MayHold_EmptyOrCutFilter_HoldsNothing()
    {
        Assert.Empty(PictureDigest.Of([]));
        Assert.False(PictureDigest.MayHold([], 1));
        Assert.False(PictureDigest.MayHold(new byte[5], 1));
    }

    [Fact]
    public void Key_NoHash_IsRefused() => Assert.Throws<FormatException>(() => PictureDigest.Key("abc"));
}
