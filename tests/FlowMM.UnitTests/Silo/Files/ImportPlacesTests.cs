using FlowMM.Abstractions;
using FlowMM.Silo.Files;
using Microsoft.Extensions.Options;
using Xunit;

namespace FlowMM.UnitTests.Silo.Files;

/// <summary>Who may import how many files at once.</summary>
public sealed class ImportPlacesTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 1)]
    [InlineData(4, 2)]
    public void Take_OneTenant_HasHalfOfThePlacesAndAtLeastOne(int most, int expected)
    {
        ImportPlaces places = new(Options.Create(new FileSettings { MaxImports = most }));
        for (int place = 0; place < expected; place++)
        {
            places.Take("greedy");
        }

        Assert.Equal(ErrorCode.ResourceExhausted, Assert.Throws<RefusedException>(() => places.Take("greedy")).Code);
        places.Release("greedy");
        places.Take("greedy");
    }

    [Fact]
    public void Take_OthersWhileOneTenantHasAllOfItsOwn_GetTheRest()
    {
        ImportPlaces places = new(Options.Create(new FileSettings { MaxImports = 3 }));
        string[] tenants = ["a", "b", "c"];
        Array.ForEach(tenants, places.Take);
        Assert.Throws<RefusedException>(() => places.Take("d"));
        places.Release("b");
        places.Take("d");
    }

    [Fact]
    public void FileSettings_TranscriptLargerThanOneWriteMayBe_IsRefused()
    {
        FileSettings settings = new() { MaxTranscriptBytes = (256 << 20) + 1 };
        Assert.False(System.ComponentModel.DataAnnotations.Validator.TryValidateObject(settings, new(settings), null, validateAllProperties: true));
        FileSettings largest = new() { MaxTranscriptBytes = 256 << 20 };
        Assert.True(System.ComponentModel.DataAnnotations.Validator.TryValidateObject(largest, new(largest), null, validateAllProperties: true));
    }
}
