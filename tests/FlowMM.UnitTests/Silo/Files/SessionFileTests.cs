using FlowMM.Abstractions;
using FlowMM.Silo.Files;
using FlowMM.Silo.Store;
using FlowMM.UnitTests.Testing;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Xunit;
using static FlowMM.UnitTests.Silo.Files.Transcripts;

namespace FlowMM.UnitTests.Silo.Files;

/// <summary>What is written is what is read, in this version and in later ones.</summary>
public sealed class SessionFileTests
{
    [Fact]
    public async Task Read_WhatWasWritten_IsTheSessionWithEachPictureOnce()
    {
        SessionRecord session = Sample();
        (SessionRecord read, List<ImmutableBytes> pictures) = await Read(await Write(session));
        Assert.Equal(Told(session), Told(read));
        Assert.Equal(Shape.Data, Assert.Single(pictures).Data);
        Assert.Null(read.Pending);
    }

    [Fact]
    public async Task Read_SessionWithoutTurns_IsTheSession()
    {
        SessionRecord session = Empty(new());
        Assert.Equal(Told(session), Told((await Read(await Write(session))).Session));
    }

    [Property(MaxTest = 40)]
    public Property Read_AnySession_IsWhatWasWritten() => Prop.ForAll(Sessions(), session =>
    {
        (SessionRecord read, List<ImmutableBytes> pictures) = Read(Write(session).GetAwaiter().GetResult()).GetAwaiter().GetResult();
        return Told(session).SequenceEqual(Told(read)) && session.Images.SequenceEqual(pictures.Select(p => p.Hash));
    });

    [Fact]
    public async Task Read_GoldenOfVersionOne_IsTheSameForEver()
    {
        byte[] file = await File.ReadAllBytesAsync(Path.Combine(Repository.Root, "tests", "FlowMM.UnitTests", "Silo", "Files", "goldens", "v1.flowmm"), TestContext.Current.CancellationToken);
        Assert.Equal(Told(Sample()), Told((await Read(file)).Session));
    }

    [Fact]
    public async Task Take_LargerThanAPiece_IsCutAndReadsAsOne()
    {
        byte[] large = new byte[(SessionFileFormat.PieceBytes * 5 / 2) + 3];
        new Random(7).NextBytes(large);
        using FrameWriter file = new();
        file.Add(FrameKind.Turn, large);
        List<byte[]> pieces = [.. file.Take(all: false)];
        Assert.All(pieces, p => Assert.Equal(SessionFileFormat.PieceBytes, p.Length));
        Assert.Equal(2, pieces.Count);
        file.Add(FrameKind.End);
        pieces.AddRange(file.Take(all: true));
        Assert.Empty(file.Take(all: true));

        using MemoryStream written = new([.. pieces.SelectMany(p => p)]);
        using FrameReader read = new(written, written.Length);
        CancellationToken token = TestContext.Current.CancellationToken;
        await read.Open(token);
        Assert.Equal(large, await read.Next(FrameKind.Turn, large.Length, token));
        Assert.Empty(await read.Next(FrameKind.End, 0, token));
        await read.End(token);
    }

    [Fact]
    public async Task Write_OfAnotherModel_IsRefused()
    {
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Write(Sample() with { Model = "another" }));
        Assert.Equal(ErrorCode.FailedPrecondition, refused.Code);
    }

    [Fact]
    public async Task Write_LargerThanAFileMayBe_IsRefused()
    {
        foreach (FileSettings settings in (FileSettings[])[new() { MaxRecordBytes = 100 }, new() { MaxTranscriptBytes = 2000 }])
        {
            RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Write(Sample(), settings));
            Assert.Equal(ErrorCode.FailedPrecondition, refused.Code);
            Assert.Contains("FlowMM:Files:", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Write_AsLargeAsAFileMayBe_IsReadAndOneByteMoreIsRefused()
    {
        byte[] file = await Write(Sample());
        FileSettings settings = new() { MaxBytes = file.Length };
        Assert.Equal(Told(Sample()), Told((await Read(await Write(Sample(), settings), settings)).Session));
        settings.MaxBytes--;
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Write(Sample(), settings));
        Assert.Equal(ErrorCode.FailedPrecondition, refused.Code);
        Assert.Contains("FlowMM:Files:MaxBytes", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Write_PictureGone_IsRefused()
    {
        SessionRecord session = Sample();
        TurnRecord first = session.Turns[0];
        SessionRecord other = session with { Turns = [first with { Turn = first.Turn with { Images = [new string('0', 64)] } }] };
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Write(other));
        Assert.Equal(ErrorCode.FailedPrecondition, refused.Code);
    }

    /// <summary>Up to four turns of any text, pictures and options that a caller may send.</summary>
    private static Arbitrary<SessionRecord> Sessions()
    {
        Gen<string> text = ArbMap.Default.GeneratorFor<NonNull<string>>()
            .Select(s => string.Concat(s.Get.Where(c => !char.IsSurrogate(c) && c is not '<' and not '>').Take(40)) + "a");
        Gen<MessagePart> part = Gen.OneOf(text.Select(Text), Gen.Elements(Picture(Boot), Picture(Shape)));
        Gen<SamplingOptions> sampling =
            from seed in Gen.Choose(0, int.MaxValue)
            from stops in Gen.Choose(0, 3)
            from heat in Gen.Choose(0, 2)
            select new SamplingOptions { Seed = (ulong)seed, Temperature = heat / 3.0, Stop = stops == 0 ? null : [.. Enumerable.Repeat("x", stops)] };
        Gen<MergingOptions> merging = Gen.Elements(new MergingOptions(), new() { Method = "flowmm", BudgetRatio = 0.25 }, new() { Method = "h2o", BudgetEntries = 64 });
        Gen<(MessagePart[] Parts, SamplingOptions Sampling, MergingOptions Merging, string Answer)> turn =
            from parts in part.ArrayOf(3)
            from question in text
            from s in sampling
            from m in merging
            from answer in text
            select ((MessagePart[])[.. parts, Text(question)], s, m, answer);
        return (from count in Gen.Choose(0, 3)
                from system in text
                from turns in turn.ArrayOf(count)
                select turns.Index().Aggregate(
                    Empty(new SessionSpec { System = system }),
                    (s, t) => Say(s, new() { TurnId = $"t{t.Index}", Parts = t.Item.Parts, Sampling = t.Item.Sampling, Merging = t.Item.Merging }, t.Item.Answer))).ToArbitrary();
    }
}
