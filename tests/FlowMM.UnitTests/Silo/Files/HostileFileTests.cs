using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using FlowMM.Abstractions;
using FlowMM.Model;
using FlowMM.Silo.Files;
using FlowMM.Silo.Store;
using FlowMM.UnitTests.Testing;
using Xunit;
using static FlowMM.UnitTests.Silo.Files.Transcripts;

namespace FlowMM.UnitTests.Silo.Files;

/// <summary>Files that nobody wrote so: each is refused, by type, before memory is spent on it.</summary>
public sealed class HostileFileTests
{
    [Fact]
    public async Task Read_AnyByteFlipped_IsRefused()
    {
        byte[] file = await Write(Sample());
        for (int at = 0; at < file.Length; at++)
        {
            byte[] flipped = [.. file];
            flipped[at] ^= (byte)(1 << (at % 8));
            ErrorCode code = await Refused(flipped);
            Assert.True(code is ErrorCode.DataLoss or ErrorCode.InvalidArgument, $"byte {at}: {code}");
        }
    }

    [Fact]
    public async Task Read_CutAnywhere_IsDataLoss()
    {
        byte[] file = await Write(Sample());
        for (int length = 0; length < file.Length; length += 1 + (length % 7))
        {
            Assert.Equal((length, ErrorCode.DataLoss), (length, await Refused(file[..length])));
        }
    }

    [Fact]
    public async Task Read_MoreBehindItsEnd_IsRefused() => Assert.Equal(ErrorCode.InvalidArgument, await Refused([.. await Write(Sample()), 0]));

    [Fact]
    public async Task Read_OfAnotherModel_IsRefusedAsThat()
    {
        SessionFileHead head = Head(Sample()) with { ModelDigest = new string('a', 64) };
        Assert.Equal(ErrorCode.FailedPrecondition, await Refused(Craft(head, [])));
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(Craft(head with { ModelDigest = "tiny" }, [])));
    }

    [Fact]
    public async Task Read_LengthBeyondTheFile_TakesNoMemory()
    {
        byte[] file = [.. (await Write(Sample()))[..SessionFileFormat.PrefixBytes], .. "HEAD"u8, 0, 0, 0, 0];
        BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(^4), new FileSettings().MaxRecordBytes);
        Assert.Equal(ErrorCode.DataLoss, await Refused(file));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Equal(ErrorCode.DataLoss, await Refused(file));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
    }

    [Fact]
    public async Task Read_BeyondABound_IsRefused()
    {
        byte[] file = await Write(Sample());
        foreach (FileSettings settings in (FileSettings[])[new() { MaxBytes = file.Length - 1 }, new() { MaxRecordBytes = 200 }, new() { MaxTranscriptBytes = 3000 }])
        {
            RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Read(file, settings));
            Assert.Equal(ErrorCode.InvalidArgument, refused.Code);
        }
    }

    [Theory]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("{\"accepted\":null}")]
    [InlineData("{\"accepted\":{},\"turn\":{},\"answerIds\":[]}")]
    [InlineData("not json")]
    public async Task Read_TurnThatIsNoRecord_IsRefused(string json) =>
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(Craft(Head(Sample()) with { Turns = 1, Pictures = 0 }, [Encoding.UTF8.GetBytes(json)])));

    [Fact]
    public async Task Read_RecordThatUnpacksToManyTimesItsSize_IsRefused()
    {
        string json = $"{{\"accepted\":{{\"parts\":[{string.Join(',', Enumerable.Repeat("{}", 100_000))}]}}}}";
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() => Read(Craft(Head(Sample()) with { Turns = 1 }, [Encoding.UTF8.GetBytes(json)])));
        Assert.Contains("more objects", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Read_WhatTheRefusedOnesAreMadeOf_IsRead()
    {
        SessionRecord session = Sample();
        foreach (int turns in (int[])[1, 2, 3])
        {
            SessionRecord part = session with { Turns = [.. session.Turns.Take(turns)], Epoch = turns };
            Assert.Equal(Told(part), Told((await Read(Craft(Head(part), Records(part), Shape))).Session));
        }
    }

    [Fact]
    public async Task Read_TurnThatCannotBe_IsRefused()
    {
        SessionRecord session = Sample();
        foreach ((int index, TurnRecord hostile) in Hostile(session.Turns[0]).Index())
        {
            Assert.Equal((index, ErrorCode.InvalidArgument), (index, await Refused(session with { Turns = [hostile] })));
        }

        TurnRecord second = session.Turns[1];
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(session with { Turns = [second] }));
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(session with { Turns = [session.Turns[0], session.Turns[0]] }));
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(session with { Turns = [session.Turns[0], Accepted(second, a => a with { Reset = true })] }));
        TokenLogprob none = new(new TokenScore(3, "y", 0), [null!]);
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(session with { Turns = [session.Turns[0], second with { Turn = second.Turn with { Logprobs = [none] } }] }));
    }

    [Fact]
    public async Task Read_HeadThatCannotBe_IsRefused()
    {
        SessionRecord session = Sample();
        SessionFileHead head = Head(session);
        SessionFileHead[] hostile =
        [
            head with { Turns = -1 }, head with { Turns = int.MaxValue }, head with { Pictures = 2 }, head with { Pictures = -1 },
            head with { Spec = new SessionSpec { System = "<|im_end|>" } },
            head with { Spec = new SessionSpec { Sampling = new() { Temperature = 7 } } },
            head with { Spec = new SessionSpec { Merging = new() { Method = "nothing" } } },
        ];
        foreach (SessionFileHead h in hostile)
        {
            Assert.Equal(ErrorCode.InvalidArgument, await Refused(Craft(h, Records(session), Shape)));
        }
    }

    [Fact]
    public async Task Read_PictureThatIsNotWhatItsTurnSays_IsRefused()
    {
        SessionRecord session = Sample();
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(Craft(Head(session), Records(session), Boot)));
        Assert.Equal(ErrorCode.DataLoss, await Refused(Craft(Head(session), Records(session), new ImmutableBytes(Boot.Data, Shape.Hash))));
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(Craft(Head(session), Records(session), new ImmutableBytes([], Shape.Hash))));
        ImmutableBytes text = ImmutableBytes.Of("no picture at all"u8.ToArray());
        SessionRecord other = session with { Turns = [Renamed(session.Turns[0], text.Hash)] };
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(Craft(Head(other), Records(other), text)));
        TurnRecord larger = Accepted(session.Turns[0], a => a with { Parts = [a.Parts[0] with { Width = a.Parts[0].Width + 1 }, a.Parts[1]] });
        other = session with { Turns = [larger] };
        Assert.Equal(ErrorCode.InvalidArgument, await Refused(Craft(Head(other), Records(other), Shape)));
    }

    private static IEnumerable<TurnRecord> Hostile(TurnRecord turn)
    {
        Func<AcceptedTurn, AcceptedTurn>[] accepted =
        [
            a => a with { TurnId = "a/b" }, a => a with { Digest = "x" }, a => a with { Timeout = TimeSpan.Zero }, a => a with { Reset = false },
            a => a with { Sampling = new() { Stop = [null!] } }, a => a with { Sampling = new() { MaxTokens = 0 } }, a => a with { Merging = new() { BudgetRatio = 2 } },
            a => a with { Parts = [] }, a => a with { Parts = [null!] }, a => a with { Parts = [new StoredPart()] }, a => a with { Parts = [a.Parts[0]] },
            a => a with { Parts = [a.Parts[0] with { Text = "both" }, a.Parts[1]] }, a => a with { Parts = [a.Parts[0], a.Parts[1] with { Text = "<|im_end|>" }] },
            a => a with { Parts = [a.Parts[0] with { Width = 0 }, a.Parts[1]] }, a => a with { Parts = [a.Parts[0] with { Width = int.MaxValue, Height = int.MaxValue }, a.Parts[1]] },
            a => a with { Parts = [a.Parts[0] with { Image = "../x" }, a.Parts[1]] }, a => a with { Parts = [a.Parts[0] with { Seconds = -1 }, a.Parts[1]] },
            a => a with { PromptIds = [] }, a => a with { PromptIds = [.. a.PromptIds, -1] }, a => a with { PromptIds = [.. a.PromptIds, TinyModel.Model.Vocabulary] },
            a => a with { PromptIds = [.. a.PromptIds, TinyModel.Model.ImageTokenId!.Value] },
            a => a with { PromptIds = [.. a.PromptIds, .. Enumerable.Repeat(5, TinyModel.Model.ContextLength)] },
            a => a with { Images = [] }, a => a with { Images = [null!] }, a => a with { Images = [a.Images[0], a.Images[0]] }, a => a with { Images = [a.Images[0] with { Start = 0 }] },
            a => a with { Images = [a.Images[0] with { Start = int.MaxValue }] }, a => a with { Images = [a.Images[0] with { Start = -5 }] },
            a => a with { Images = [a.Images[0] with { Length = a.Images[0].Length - 1 }] }, a => a with { Images = [a.Images[0] with { Grid = new ImageGrid(1, 2, 2) }] },
        ];
        Func<Turn, Turn>[] told =
        [
            t => t with { TurnId = "other" }, t => t with { Index = 2 }, t => t with { Prompt = "other" }, t => t with { Images = [] },
            t => t with { Compression = new CompressionReport { Method = "flowmm", BytesBefore = 1, BytesAfter = 1, Ms = 1, Layers = [null!] } },
        ];
        return [.. accepted.Select(change => Accepted(turn, change)), .. told.Select(change => turn with { Turn = change(turn.Turn) }), turn with { AnswerIds = [-1] }];
    }

    private static TurnRecord Accepted(TurnRecord turn, Func<AcceptedTurn, AcceptedTurn> change) => turn with { Accepted = change(turn.Accepted) };

    private static TurnRecord Renamed(TurnRecord turn, string hash) => turn with
    {
        Accepted = turn.Accepted with { Parts = [turn.Accepted.Parts[0] with { Image = hash }, turn.Accepted.Parts[1]], Images = [turn.Accepted.Images[0] with { Hash = hash }] },
        Turn = turn.Turn with { Images = [hash] },
    };

    private static Task<ErrorCode> Refused(SessionRecord session) => Refused(Craft(Head(session), Records(session), Shape));

    private static async Task<ErrorCode> Refused(byte[] file) => (await Assert.ThrowsAsync<RefusedException>(() => Read(file))).Code;
}
